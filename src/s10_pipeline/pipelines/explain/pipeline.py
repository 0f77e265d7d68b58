"""Pipeline ``explain``: class activation maps of misclassified images, and the report."""

from dataclasses import fields

from kedro.pipeline import Pipeline, node

from ...vision.report.inputs import ReportInputs
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
                    "test_predictions",
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
                {field.name: field.name for field in fields(ReportInputs)},
                ["gradcam_gallery", "report"],
                name="gradcam_report",
            ),
        ]
    )
