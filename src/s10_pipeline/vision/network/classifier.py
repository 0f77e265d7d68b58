"""The classifier: a network with its normalisation, class names and resize rule, stored in one model file."""

import json
from pathlib import Path
from typing import Annotated, Self

import torch
from pydantic import Field, ValidationError, field_validator
from pydantic.dataclasses import dataclass
from pydantic_core import from_json, to_jsonable_python
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as safetensors_bytes
from torch import Tensor, nn

from ...identity.regular_files import regular_file
from ..data.params import Deviation, Pixel
from ..data.resize import ResizeRule
from ..device import plain_fp32
from ..errors import UserError, one_line
from ..params import Params
from .params import ArchitectureParams, check_stage
from .resnet import ResNet

FORMAT = "s10_pipeline.classifier/1"

# Lowest width, in channels, of networks that use the channels_last memory format. With fewer channels, the backward
# pass of oneDNN's channels_last convolutions in torch 2.15 corrupts memory if several threads share a batch of odd size
# (tried: widths 4 to 48, batch sizes 3 to 64).
MIN_CHANNELS_LAST = 16


Name = Annotated[str, Field(max_length=1000)]


@dataclass(config=Params.model_config)  # frozen
class ClassifierSpec:
    """The metadata of a model file; all values are limited, because the file may come from an untrusted source.

    Attributes:
        architecture: the network's architecture; ``stem`` must not be "auto".
        class_names: names of the classes in label order, all different.
        mean, std: per channel (RGB), 0-255, for normalisation.
        resize: rule by which images of other sizes are resized to ``image_size``.
        title: name of the training data, for people.
        drawn: whether the project drew the training data itself.
        format: version of this file format.
    """

    architecture: ArchitectureParams
    class_names: Annotated[tuple[Name, ...], Field(min_length=2, max_length=100_000)]
    mean: tuple[Pixel, Pixel, Pixel]
    std: tuple[Deviation, Deviation, Deviation]
    resize: ResizeRule
    title: Name = ""
    drawn: bool = False
    format: str = FORMAT

    @field_validator("architecture")
    @classmethod
    def _resolved(cls, architecture: ArchitectureParams) -> ArchitectureParams:
        if architecture.stem == "auto":
            raise ValueError("stem=auto: a stored network must name its stem")
        return architecture

    @field_validator("class_names")
    @classmethod
    def _different(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(names)) < len(names):
            raise ValueError("two classes have the same name")
        return names

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of the model's input images, in pixels."""
        return self.resize.image_size


class Classifier(nn.Module):
    """Network that takes uint8 images and returns logits. It normalises images itself, so all callers do it alike.

    Weights and activations use the channels_last memory format, in which convolutions are faster; narrow networks do
    not (:data:`MIN_CHANNELS_LAST`).
    """

    mean: Tensor
    std: Tensor
    frozen = False

    def __init__(self, spec: ClassifierSpec) -> None:
        super().__init__()
        self.spec = spec
        self.network = ResNet(spec.architecture, len(spec.class_names))
        wide = spec.architecture.width >= MIN_CHANNELS_LAST
        self.memory_format = torch.channels_last if wide else torch.contiguous_format
        self.to(memory_format=self.memory_format)
        for name in ("mean", "std"):
            values = torch.tensor(getattr(spec, name), dtype=torch.float32).view(1, 3, 1, 1)
            self.register_buffer(name, values, persistent=False)

    def forward(self, images_bchw: Tensor) -> Tensor:
        """Compute the logits (B, K) of a batch of images, as float32 or the autocast type.

        Args:
            images_bchw: RGB, uint8 or floating point, 0-255.
        """
        x_bchw = self.normalise(images_bchw)
        logits_bk: Tensor = self.network(x_bchw.contiguous(memory_format=self.memory_format))
        return logits_bk

    def normalise(self, images_bchw: Tensor) -> Tensor:
        """Return normalised images, float32: per channel, subtract the mean and divide by the standard deviation."""
        return (images_bchw.to(self.mean.dtype) - self.mean) / self.std

    def freeze_backbone(self) -> None:
        """Freeze everything except the head: no gradients, and modules stay in evaluation mode."""
        self.frozen = True
        self.network.requires_grad_(False)
        self.network.head.requires_grad_(True)

    def train(self, mode: bool = True) -> Self:
        """Set training or evaluation mode of all modules; frozen ones always stay in evaluation mode."""
        super().train(mode)
        for name, module in self.network.named_children():
            module.train(mode and (name == "head" or not self.frozen))
        return self

    @torch.inference_mode()
    def probabilities(self, images_bchw: Tensor) -> Tensor:
        """Return softmax probabilities (B, K), computed in fp32 without temperature scaling, as float64 on the CPU.

        The model should be in evaluation mode.

        Args:
            images_bchw: as in :meth:`forward`, on any device.

        Raises:
            UserError: an output is NaN or infinite (argmax would then choose an arbitrary class).
        """
        with plain_fp32():
            logits_bk = self(images_bchw.to(self.mean.device)).float().cpu().double()
        if not logits_bk.isfinite().all():
            raise UserError("model: its outputs are NaN or infinite; train again or restore the model file")
        return torch.softmax(logits_bk, dim=1)

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.spec.class_names

    def last_block(self, layer: str) -> nn.Module:
        """Return the last residual block of the stage ``layer``; Grad-CAM uses the output of this block.

        Raises:
            UserError: the network has no such stage.
        """
        check_stage(layer, self.spec.architecture.depth)
        stage: nn.Sequential = getattr(self.network, layer)
        return stage[-1]


def resolve_stem(params: ArchitectureParams, image_size: tuple[int, int]) -> ArchitectureParams:
    """Replace ``stem="auto"`` by "cifar" for images up to 64 pixels, else by "imagenet"."""
    if params.stem != "auto":
        return params
    return params.model_copy(update={"stem": "cifar" if max(image_size) <= 64 else "imagenet"})


def classifier_to_bytes(model: Classifier) -> bytes:
    """Return the model as the content of a ``.safetensors`` file; equal models give equal bytes.

    The specification is JSON under a single metadata key, because safetensors writes several keys in random order.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    return safetensors_bytes(tensors, metadata={"spec": json.dumps(to_jsonable_python(model.spec), sort_keys=True)})


def load_classifier(path: Path) -> Classifier:
    """Read a model file; the model is on the CPU and in evaluation mode.

    Raises:
        UserError: the file is missing, damaged, or not a model of this project.
    """
    try:
        with safe_open(regular_file(path), framework="pt") as file:
            spec = _read_spec((file.metadata() or {})["spec"])
            # Build the network without memory, because the metadata of an untrusted file may claim any size.
            with torch.device("meta"):
                expected = {name: list(tensor.shape) for name, tensor in Classifier(spec).state_dict().items()}
            if expected != {name: file.get_slice(name).get_shape() for name in file.keys()}:  # noqa: SIM118 - no dict
                raise ValueError("its weights do not fit its architecture")
            tensors = {name: file.get_tensor(name) for name in expected}
        if not all(tensor.isfinite().all() for tensor in tensors.values()):
            raise ValueError("its weights are NaN or infinite")
        model = Classifier(spec)
        model.load_state_dict(tensors, strict=True)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise UserError(
            f"{path}: not a model of this project ({_reason(error)}); train one or restore the file"
        ) from error
    return model.eval()


def _read_spec(text: str) -> ClassifierSpec:
    fields = dict(from_json(text, allow_inf_nan=False))
    if fields.get("format") != FORMAT:
        raise ValueError(f"model format {fields.get('format')}; this version reads {FORMAT}")
    return ClassifierSpec(**fields)


def _reason(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return one_line(error)[:200]
