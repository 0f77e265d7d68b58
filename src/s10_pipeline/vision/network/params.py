"""Parameters of the network: ``train.architecture`` and ``train.pretrained``."""

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from ..errors import UserError
from ..params import Params

# Depth -> number of blocks per stage: three stages as in He et al. 2015, section 4.2 (6n + 2 layers), or four as in
# their table 1.
BASIC_BLOCKS: dict[int, tuple[int, ...]] = {
    8: (1, 1, 1),
    14: (2, 2, 2),
    20: (3, 3, 3),
    32: (5, 5, 5),
    44: (7, 7, 7),
    56: (9, 9, 9),
    10: (1, 1, 1, 1),
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
}
BOTTLENECK_BLOCKS: dict[int, tuple[int, ...]] = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}


class ArchitectureParams(Params):
    """Parameters of the network's architecture, a ResNet (He et al. 2015, arXiv:1512.03385).

    Attributes:
        depth: number of weighted layers. Networks of depth 8, 14, 20, 32, 44 or 56 have three stages; those of depth
            10, 18 or 34 have four. Networks of depth 50 or 101 have four stages of bottleneck blocks.
        width: number of channels of the first stage, doubled in each further stage.
        stem: first layers. ``cifar`` is a 3x3 convolution. ``whitened`` is a fixed whitening convolution, a 1x1
            convolution and 2x2 max pooling. ``imagenet`` is a 7x7 convolution with stride 2 and max pooling. ``auto``
            takes the pretrained weights' stem; else ``cifar`` up to 64 pixels, ``imagenet`` above.
        dropout: probability of Dropout2d between the two convolutions of a residual block.
        stem_dropout: probability of Dropout2d after the stem.
        zero_init_residual: initialise each residual block as the identity (Goyal et al. 2017, section 5.1).
    """

    depth: int = 18
    width: int = Field(64, ge=1, le=1024)
    stem: Literal["auto", "cifar", "whitened", "imagenet"] = "auto"
    dropout: float = Field(0.0, ge=0, lt=1)
    stem_dropout: float = Field(0.0, ge=0, lt=1)
    zero_init_residual: bool = False

    @field_validator("depth")
    @classmethod
    def _known_depth(cls, depth: int) -> int:
        known = sorted({**BASIC_BLOCKS, **BOTTLENECK_BLOCKS})
        if depth not in known:
            raise ValueError(f"no ResNet of this depth; one of: {', '.join(map(str, known))}")
        return depth


class PretrainedParams(Params):
    """Parameters of the pretrained weights that training and range test start from (:mod:`.pretrained`).

    Attributes:
        path: ``.safetensors`` file or state dict of torchvision's or timm's ResNet-18, 34, 50 or 101, or a model of
            this project; null: random weights. The pretrained weights must fit ``train.architecture``. If they are for
            other classes, the network gets a new head. Images are normalised as the pretrained weights need it, not by
            ``augment.pixel_mean``.
        freeze: train only the head; everything else stays in evaluation mode, so BatchNorm uses the statistics of the
            pretrained weights.
    """

    path: str | None = None
    freeze: bool = False

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.freeze and not self.path:
            raise ValueError("freeze=true: needs pretrained weights; give path, or set freeze=false")
        return self


def stage_names(depth: int) -> tuple[str, ...]:
    """Return the names of the residual stages of a network of this depth: ``layer1`` ... ``layerN``."""
    return tuple(f"layer{stage}" for stage in range(1, len({**BASIC_BLOCKS, **BOTTLENECK_BLOCKS}[depth]) + 1))


def check_stage(layer: str, depth: int) -> None:
    """Raise UserError if a network of this depth has no stage of this name (``explain.layer``)."""
    if layer not in stage_names(depth):
        names = ", ".join(stage_names(depth))
        raise UserError(
            f"explain.layer={layer}: a network of depth {depth} has {names}, but no {layer}; use one of them"
        )
