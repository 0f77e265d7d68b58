"""Pipeline ``evaluation``: measure the model on the test images, and look for faults of model and data."""

from kedro.pipeline import Pipeline, node

from .nodes import evaluate, find_label_errors, find_near_duplicates, judge, probe_shortcut


def create_pipeline() -> Pipeline:
    return Pipeline(
        [
            node(
                find_near_duplicates,
                ["train_images", "test_images", "train_set", "val_set", "params:evaluate"],
                "near_duplicates",
                name="find_near_duplicates",
            ),
            node(
                evaluate,
                [
                    "model",
                    "train_images",
                    "test_images",
                    "val_set",
                    "test_set",
                    "near_duplicates",
                    "provenance",
                    "params:evaluate",
                    "params:train.device",
                ],
                [
                    "metrics",
                    "test_predictions",
                    "confusion_matrix",
                    "class_metrics",
                    "reliability",
                    "reliability_diagram",
                ],
                name="evaluate",
            ),
            node(
                find_label_errors,
                [
                    "model",
                    "train_images",
                    "test_images",
                    "train_margins",
                    "provenance",
                    "params:evaluate",
                    "params:train.device",
                ],
                "label_error_candidates",
                name="find_label_errors",
            ),
            node(
                probe_shortcut,
                ["model", "test_images", "test_set", "provenance", "params:evaluate", "params:train.device"],
                "shortcut_probe",
                name="probe_shortcut",
            ),
            node(
                judge,
                [
                    "train_images",
                    "train_set",
                    "provenance",
                    "metrics",
                    "test_predictions",
                    "class_metrics",
                    "label_error_candidates",
                    "train_margins",
                    "near_duplicates",
                    "shortcut_probe",
                    "params:evaluate",
                ],
                "verdicts",
                name="judge",
            ),
        ]
    )
