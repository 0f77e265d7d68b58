"""The file computes what the model computes, for any number of images, and says what a program needs to serve it."""

import json
import re

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from s10_pipeline.vision.data.resize import describe_rule
from s10_pipeline.vision.export.onnx_file import to_onnx
from s10_pipeline.vision.network.classifier import Classifier
from s10_pipeline.vision.network.whitening import PatchWhitening

NAMES = ("cat", "dög", "a,b")


@pytest.fixture
def trained(make_model):
    def make(size: int = 32, **architecture: object) -> Classifier:
        model = make_model(NAMES, size, **architecture)
        for module in model.modules():
            if isinstance(module, PatchWhitening):
                torch.nn.init.normal_(module.weight)
            if isinstance(module, torch.nn.BatchNorm2d):
                torch.nn.init.uniform_(module.running_mean, -0.5, 0.5)
                torch.nn.init.uniform_(module.running_var, 0.5, 2)
        return model.to(memory_format=torch.channels_last)

    return make


def run(content: bytes, images_bchw: torch.Tensor) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return session.run(["logits", "probabilities"], {"images": images_bchw.numpy()})


@pytest.mark.parametrize(
    ("size", "architecture"), [(32, {"stem": "whitened"}), (48, {"depth": 10, "stem": "imagenet"})]
)
def test_computes_what_the_model_computes(trained, size, architecture) -> None:
    model = trained(size, **architecture).train()
    content = to_onnx(model)
    assert model.training
    model.eval()
    for number in (1, 2, 5):
        images_bchw = torch.randint(0, 256, (number, 3, size, size), dtype=torch.uint8)
        logits_bk, probabilities_bk = run(content, images_bchw)
        with torch.no_grad():
            np.testing.assert_allclose(logits_bk, model(images_bchw), atol=1e-5)
        np.testing.assert_allclose(probabilities_bk, model.probabilities(images_bchw), atol=1e-6)
        assert logits_bk.dtype == probabilities_bk.dtype == np.float32


def test_says_what_a_program_needs_and_nothing_of_this_machine(root, trained) -> None:
    content = to_onnx(trained())
    model = onnx.load_model_from_string(content)
    onnx.checker.check_model(model, full_check=True)
    about = {entry.key: json.loads(entry.value) for entry in model.metadata_props}
    assert about == {"class_names": list(NAMES), "resize": describe_rule((32, 32)), "title": "three kinds"}
    (images,) = model.graph.input
    assert images.name == "images" and images.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert [dim.dim_param or dim.dim_value for dim in images.type.tensor_type.shape.dim] == ["batch", 3, 32, 32]
    assert not re.search(rb"\.py|stack_trace", content) and str(root).encode() not in content
    assert to_onnx(trained()) == content
