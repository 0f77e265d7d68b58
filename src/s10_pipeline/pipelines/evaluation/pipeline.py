"""Evaluation on the test images."""

from kedro.pipeline import Pipeline, node

from .nodes import evaluate


def create_pipeline() -> Pipeline:
    return Pipeline(
        [
            node(
                evaluate,
                ["model", "test_images", "test_set", "provenance", "params:evaluate", "params:train.device"],
                ["metrics", "test_predictions", "confusion_matrix"],
                name="evaluate",
            )
        ]
    )
