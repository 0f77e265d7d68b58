import dataclasses

import pytest

from s10_pipeline.pipelines.export.nodes import export_onnx
from s10_pipeline.vision.errors import UserError
from s10_pipeline.vision.export.params import ExportParams


def test_images_of_another_kind_are_refused(classifier, data):
    other = dataclasses.replace(data.test_images, class_names=("a", *data.test_images.class_names[1:]), digest=None)
    with pytest.raises(UserError, match="model: knows 10 classes"):
        export_onnx(classifier, other, ExportParams())
