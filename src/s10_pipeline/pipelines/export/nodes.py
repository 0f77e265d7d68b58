"""Node of the ``export`` stage, which writes the model as an ONNX file and checks that file."""

from typing import Any

from ...vision.data.image_set import ImageSet
from ...vision.evaluation.checks import check_same_data
from ...vision.export.params import ExportParams
from ...vision.types import Classifier


def export_onnx(model: Classifier, test_images: ImageSet, export: ExportParams) -> tuple[bytes, dict[str, Any]]:
    """Export the model to ONNX; fails if the export gives other results than the model on test images.

    Returns:
        onnx_model (the file's content), export_check.
    """
    from ...vision.export.agreement import check_agreement
    from ...vision.export.onnx_file import to_onnx

    check_same_data(model, test_images)
    onnx_model = to_onnx(model)
    return onnx_model, check_agreement(onnx_model, model, test_images.images_nhwc, export)
