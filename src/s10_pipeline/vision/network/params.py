"""Parameters of the network: ``train.architecture``."""

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from ..errors import UserError
from ..params import Params

# depth -> blocks a stage. Three stages as in He et al. 2015, section 4.2 (6n + 2 layers); four as in table 1.
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
    """A residual network (He et al. 2015, arXiv:1512.03385).

    Attributes:
        depth: number of weighted layers: 8, 14, 20, 32, 44, 56 (three stages), 10, 18, 34 (four),
            50, 101 (four, bottleneck blocks).
        width: channels of the first stage; each further stage doubles them.
        stem: ``cifar``: a 3x3 convolution at full resolution; ``whitened``: a fixed convolution that whitens patches,
            a 1x1 one and 2x2 max pooling; ``imagenet``: 7x7 with stride 2, and pooling; ``auto``: that of pretrained
            weights, without them ``cifar`` up to 64 pixels.
        dropout: probability of Dropout2d between the two convolutions of a block.
        stem_dropout: probability of Dropout2d after the stem.
        zero_init_residual: start each block as the identity (Goyal et al. 2017, section 5.1).
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
    """Weights that training and range test start from (:mod:`.pretrained`).

    Attributes:
        path: ``.safetensors`` or state dict of a ResNet-18, 34, 50 or 101 by torchvision's or timm's names, or a model
            of this project; null: random weights. ``train.architecture`` must fit it. A head for other classes is
            replaced. Images are normalised as for these weights, whatever ``augment.pixel_mean`` says.
        freeze: train the head alone; the rest computes as in evaluation, so BatchNorm keeps the file's means and
            deviations.
    """

    path: str | None = None
    freeze: bool = False

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.freeze and not self.path:
            raise ValueError("freeze=true: random weights would never learn; give path, or set freeze=false")
        return self


def stage_names(depth: int) -> tuple[str, ...]:
    """Of the residual stages of a network of this depth: ``layer1`` ... ``layerN``."""
    return tuple(f"layer{stage}" for stage in range(1, len({**BASIC_BLOCKS, **BOTTLENECK_BLOCKS}[depth]) + 1))


def check_stage(layer: str, depth: int) -> None:
    """Raises UserError where a network of this depth, stored or still to be trained, has no such stage to explain."""
    if layer not in stage_names(depth):
        names = ", ".join(stage_names(depth))
        raise UserError(f"explain.layer={layer}: a network of depth {depth} has {names}; take one of them")
