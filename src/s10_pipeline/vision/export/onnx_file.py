"""Export the model to ONNX: uint8 images in, logits and probabilities out. Only this module uses the exporter.

ONNX was chosen because it runs without torch and from many languages, whereas a ``torch.export`` file needs torch.
"""

import json
import warnings

import torch
from torch import Tensor, nn

from ..network.classifier import Classifier

INPUT = "images"
OUTPUTS = ("logits", "probabilities")


class _WithProbabilities(nn.Module):
    """The model with two outputs: logits and probabilities."""

    def __init__(self, model: Classifier) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        logits_bk = self.model(images)
        return logits_bk, torch.softmax(logits_bk, dim=1)


def to_onnx(model: Classifier) -> bytes:
    """Convert the model to the content of an ``.onnx`` file.

    With the same versions of torch and onnx, equal models give equal bytes.

    The input ``images`` is uint8 (N, 3, H, W), RGB, 0-255, with any N and the model's H and W. The outputs ``logits``
    and ``probabilities`` are float32 (N, K). Normalisation is part of the ONNX model. The file's metadata has
    ``class_names``, ``resize`` (the rule for resizing images to the model's size) and ``title``, each as JSON.

    Args:
        model: a model on the CPU; its mode is restored.

    Source: https://docs.pytorch.org/docs/stable/onnx_export.html
    """
    was_training = model.training
    wrapped = _WithProbabilities(model).eval()
    # Export with two images, because with one image the exporter would treat the batch size as a constant.
    example_bchw = torch.zeros((2, 3, *model.spec.image_size), dtype=torch.uint8)
    try:
        with warnings.catch_warnings():
            # Hide the exporter's warnings about its own internals; check_agreement verifies the exported model.
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
    # Remove the source location of each ONNX operation, because it contains file paths of this machine.
    for item in (*program.model.graph, *program.model.graph.inputs, *program.model.graph.outputs):
        item.metadata_props.clear()
    spec = model.spec
    about = {"class_names": spec.class_names, "resize": spec.resize.model_dump(), "title": spec.title}
    program.model.metadata_props.update({name: json.dumps(value) for name, value in about.items()})
    content: bytes = program.model_proto.SerializeToString(deterministic=True)
    return content
