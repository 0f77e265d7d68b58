"""The model as an ONNX file: uint8 images in, logits and probabilities out; the only file that knows the exporter.

ONNX, because such a file runs without torch and from many languages; one of ``torch.export`` needs torch again.
"""

import json
import warnings

import torch
from torch import Tensor, nn

from ..network.classifier import Classifier

INPUT = "images"
OUTPUTS = ("logits", "probabilities")


class _WithProbabilities(nn.Module):
    """Logits and their softmax."""

    def __init__(self, model: Classifier) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        logits_bk = self.model(images)
        return logits_bk, torch.softmax(logits_bk, dim=1)


def to_onnx(model: Classifier) -> bytes:
    """The content of an ``.onnx`` file; equal models give equal bytes with equal versions of torch and onnx.

    Input ``images``: uint8 (N, 3, H, W), RGB, 0-255, any N, H and W of the model. Outputs ``logits`` and
    ``probabilities``: float32 (N, K). Normalisation is inside. The file's metadata has, each as JSON,
    ``class_names``, ``resize`` (the rule by which other images are brought to the model's size) and ``title``.

    Args:
        model: on the CPU; left as it was found.

    Source: https://docs.pytorch.org/docs/stable/onnx_export.html
    """
    was_training = model.training
    wrapped = _WithProbabilities(model).eval()
    # two images: of one, the exporter would take the batch for a constant
    example_bchw = torch.zeros((2, 3, *model.spec.image_size), dtype=torch.uint8)
    try:
        with warnings.catch_warnings():
            # of the exporter about its own parts; the check against the model is what counts
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                wrapped,
                (example_bchw,),
                dynamo=True,
                verbose=False,
                input_names=[INPUT],
                output_names=list(OUTPUTS),
                dynamic_shapes={INPUT: {0: torch.export.Dim("batch")}},
            )
    finally:
        model.train(was_training)
    assert program is not None
    # where each operation came from: source lines, with the folders of this machine
    for item in (*program.model.graph, *program.model.graph.inputs, *program.model.graph.outputs):
        item.metadata_props.clear()
    spec = model.spec
    about = {"class_names": spec.class_names, "resize": spec.resize.model_dump(), "title": spec.title}
    program.model.metadata_props.update({name: json.dumps(value) for name, value in about.items()})
    content: bytes = program.model_proto.SerializeToString(deterministic=True)
    return content
