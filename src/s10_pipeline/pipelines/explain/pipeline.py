"""From misclassified images to the report."""

from kedro.pipeline import Pipeline, node

from .nodes import collect_misclassified, gradcam_report


def create_pipeline() -> Pipeline:
    return Pipeline(
        [
            node(
                collect_misclassified,
                ["test_predictions", "params:explain"],
                "misclassified",
                name="collect_misclassified",
            ),
            node(
                gradcam_report,
                [
                    "model",
                    "train_images",
                    "test_images",
                    "train_set",
                    "misclassified",
                    "provenance",
                    "training_history",
                    "training_timing",
                    "lr_curve",
                    "best_lr",
                    "metrics",
                    "test_predictions",
                    "class_metrics",
                    "reliability",
                    "label_error_candidates",
                    "near_duplicates",
                    "shortcut_probe",
                    "params:explain",
                    "params:train.device",
                ],
                ["gradcam_gallery", "report", "cam_check", "cam_check_plot"],
                name="gradcam_report",
            ),
        ]
    )
