"""From misclassified images to the report."""

from kedro.pipeline import Pipeline, node

from .nodes import check_cams, collect_misclassified, compute_cams, gradcam_report


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
                compute_cams,
                [
                    "model",
                    "train_images",
                    "test_images",
                    "train_set",
                    "misclassified",
                    "shortcut_probe",
                    "provenance",
                    "params:explain",
                    "params:train.device",
                ],
                ["cams", "augmented_examples"],
                name="compute_cams",
            ),
            node(
                check_cams,
                ["model", "test_images", "test_predictions", "cams", "params:train.device"],
                ["cam_check", "cam_check_plot"],
                name="check_cams",
            ),
            node(
                gradcam_report,
                [
                    "train_images",
                    "test_images",
                    "augmented_examples",
                    "misclassified",
                    "cams",
                    "cam_check",
                    "verdicts",
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
                ],
                ["gradcam_gallery", "report"],
                name="gradcam_report",
            ),
        ]
    )
