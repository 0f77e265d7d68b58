import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from s10_pipeline.vision.errors import UserError
from s10_pipeline.vision.export.agreement import check_agreement
from s10_pipeline.vision.export.onnx_file import to_onnx
from s10_pipeline.vision.export.params import ExportParams
from s10_pipeline.vision.training.model import build_classifier


@pytest.fixture(scope="module")
def content(data, tiny) -> bytes:
    return to_onnx(build_classifier(data.train_images, data.train_set, tiny))


@pytest.mark.parametrize("num_images", [1, 65, 500])
def test_says_how_well_they_agree(classifier, data, content, num_images) -> None:
    params = ExportParams(num_check_images=num_images)
    check = check_agreement(content, classifier, data.test_images.images_nhwc, params)
    assert check["num_images"] == check["num_equal_predictions"] == min(num_images, 120)
    assert 0 <= check["max_probability_difference"] < 1e-6 and check["num_bytes"] == len(content)
    assert "torch" in check["versions"]


def with_last_bias(content: bytes, value: float) -> bytes:
    """The file with another bias of the first class."""
    model = onnx.load_model_from_string(content)
    (bias,) = [tensor for tensor in model.graph.initializer if list(tensor.dims) == [10]]
    values = numpy_helper.to_array(bias).copy()
    values[0] += value
    bias.CopyFrom(numpy_helper.from_array(values, bias.name))
    return model.SerializeToString()


@pytest.mark.parametrize("value", [0.01, np.nan])
def test_another_result_is_one_line(classifier, data, content, value) -> None:
    other, params = with_last_bias(content, value), ExportParams(num_check_images=9)
    with pytest.raises(UserError, match=r"^export.tolerance=0.0001: .* differs by ") as error:
        check_agreement(other, classifier, data.test_images.images_nhwc, params)
    assert "nothing was written; try" in str(error.value) and "\n" not in str(error.value)


def test_a_difference_within_the_tolerance_is_kept_and_told(classifier, data, content) -> None:
    params = ExportParams(num_check_images=9, tolerance=0.01)
    check = check_agreement(with_last_bias(content, 0.01), classifier, data.test_images.images_nhwc, params)
    assert 1e-5 < check["max_probability_difference"] < 0.01
    assert check["max_logit_difference"] == pytest.approx(0.01, rel=1e-3)
