"""The model artifact: a network together with everything that an image meets before and after it."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as safetensors_bytes
from torch import Tensor, nn

from ..device import plain_fp32
from ..errors import UserError
from .params import ArchitectureParams, check_stage
from .resnet import ResNet

FORMAT = "s10_pipeline.classifier/1"

# oneDNN, as torch 2.15 has it, corrupts memory in the backward pass of channels_last convolutions of fewer channels
# where several threads share an odd batch (found by trying widths 4 to 48 and batches 3 to 64).
MIN_CHANNELS_LAST = 16


@dataclass(frozen=True)
class ClassifierSpec:
    """What a model file says besides its weights.

    Attributes:
        architecture: fields of :class:`ArchitectureParams`, ``stem`` resolved.
        class_names: in label order.
        mean, std: of the training images, a channel (RGB), in pixel units (0-255).
        resize: rule by which images of other sizes are brought to ``image_size``
            (:func:`s10_pipeline.vision.data.resize.describe_rule`).
        title: the data that it was trained on, for people.
        drawn: whether the project drew that data itself.
    """

    architecture: dict[str, Any]
    class_names: tuple[str, ...]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    resize: dict[str, Any]
    title: str = ""
    drawn: bool = False
    format: str = field(default=FORMAT)

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        height, width = self.resize["image_size"]
        return height, width


class Classifier(nn.Module):
    """Takes uint8 images, normalises inside, returns logits: no caller can normalise differently.

    Weights and activations lie channels_last, which convolutions are faster in, or plainly in narrow networks.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, spec: ClassifierSpec) -> None:
        super().__init__()
        self.spec = spec
        architecture = ArchitectureParams(**spec.architecture)
        self.network = ResNet(architecture, len(spec.class_names))
        wide = architecture.width >= MIN_CHANNELS_LAST
        self.memory_format = torch.channels_last if wide else torch.contiguous_format
        self.to(memory_format=self.memory_format)
        for name in ("mean", "std"):
            values = torch.tensor(getattr(spec, name), dtype=torch.float32).view(1, 3, 1, 1)
            self.register_buffer(name, values, persistent=False)

    def forward(self, images_bchw: Tensor) -> Tensor:
        """Logits (B, K), float32 or the autocast type.

        Args:
            images_bchw: RGB, uint8 or floating point, 0-255.
        """
        x_bchw = self.normalise(images_bchw)
        logits_bk: Tensor = self.network(x_bchw.contiguous(memory_format=self.memory_format))
        return logits_bk

    def normalise(self, images_bchw: Tensor) -> Tensor:
        """Return the network's input, float32: per channel, less the mean and divided by the deviation."""
        return (images_bchw.to(self.mean.dtype) - self.mean) / self.std

    @torch.inference_mode()
    def probabilities(self, images_bchw: Tensor) -> Tensor:
        """Softmax probabilities (B, K), float64 on the CPU, computed in fp32: the network's own, by no temperature.

        Args:
            images_bchw: as of :meth:`forward`, on any device; the model should be in evaluation mode.
        """
        with plain_fp32():
            logits_bk = self(images_bchw.to(self.mean.device)).float().cpu().double()
        return torch.softmax(logits_bk, dim=1)

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.spec.class_names

    def last_block(self, layer: str) -> nn.Module:
        """The last block of a residual stage, where Grad-CAM looks.

        Raises:
            UserError: the network has no such stage.
        """
        check_stage(layer, ArchitectureParams(**self.spec.architecture).depth)
        stage = getattr(self.network, layer)
        assert isinstance(stage, nn.Sequential)
        return stage[-1]


def resolve_stem(params: ArchitectureParams, image_size: tuple[int, int]) -> ArchitectureParams:
    """Replace ``stem="auto"``: full resolution up to 64 pixels, the ImageNet stem above."""
    if params.stem != "auto":
        return params
    return params.model_copy(update={"stem": "cifar" if max(image_size) <= 64 else "imagenet"})


def classifier_to_bytes(model: Classifier) -> bytes:
    """The content of a ``.safetensors`` file; equal models give equal bytes.

    One metadata key only: safetensors writes several in random order.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    return safetensors_bytes(tensors, metadata={"spec": json.dumps(asdict(model.spec), sort_keys=True)})


def load_classifier(path: Path) -> Classifier:
    """Read a model file; the model is on the CPU and in evaluation mode.

    Raises:
        UserError: the file is missing, no model of this project, or damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            spec = json.loads((file.metadata() or {})["spec"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
        if spec.get("format") != FORMAT:
            raise UserError(f"{path}: model format {spec.get('format')}; this version reads {FORMAT}; train again")
        if spec.get("temperature", ...) is None:
            del spec["temperature"]  # earlier files have the key, never a value
        spec.update({name: tuple(spec[name]) for name in ("class_names", "mean", "std")})
        model = Classifier(ClassifierSpec(**spec))
        model.load_state_dict(tensors, strict=True)
    except (
        OSError,
        SafetensorError,
        KeyError,
        TypeError,
        json.JSONDecodeError,
        RuntimeError,
        ValidationError,
    ) as error:
        raise UserError(
            f"{path}: not a model of this project ({_reason(error)}); train one or restore the file"
        ) from error
    return model.eval()


def _reason(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"architecture.{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return str(error).splitlines()[0]
