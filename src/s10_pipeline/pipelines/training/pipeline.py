"""Pipeline ``training``: train the network at the chosen learning rate, and store the model and its history."""

from kedro.pipeline import Pipeline, node

from .nodes import train_resnet


def create_pipeline() -> Pipeline:
    return Pipeline(
        [
            node(
                train_resnet,
                [
                    "train_images",
                    "test_images",
                    "train_set",
                    "val_set",
                    "test_set",
                    "best_lr",
                    "checkpoints",
                    "params:train",
                ],
                [
                    "model",
                    "training_history",
                    "training_timing",
                    "train_margins",
                    "accuracy_curves",
                    "provenance",
                ],
                name="train_resnet",
            )
        ]
    )
