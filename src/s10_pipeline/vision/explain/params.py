"""Parameters of the ``explain`` stage."""

from collections.abc import Sequence
from typing import Literal

from pydantic import Field, field_validator

from ..params import Params

SELECTIONS = ("most_confident", "first", "random")


LAYERS = ("layer1", "layer2", "layer3", "layer4")


def split_layers(layer: str | Sequence[str]) -> tuple[str, ...]:
    """The names in ``explain.layer``: one, several joined by "+", or a sequence."""
    return tuple(layer.split("+")) if isinstance(layer, str) else tuple(layer)


class ExplainParams(Params):
    """Which mistakes are explained, and how.

    Attributes:
        num_images: how many misclassified images; all of them where there are fewer.
        selection: ``most_confident`` (highest confidence first), ``first`` (by index) or ``random``.
        method: of the grad-cam package.
        layer: the residual stage whose last block is explained; of several (a list, or joined by "+": lists break
            on the command line) the mean of their maps.
        seed: of ``selection=random``, and of the random pixels and maps that the maps are checked against.
    """

    num_images: int = Field(25, ge=1, le=1000)
    selection: Literal["most_confident", "first", "random"] = "most_confident"
    method: Literal["gradcam", "gradcam++", "hirescam", "layercam", "xgradcam", "eigengradcam"] = "gradcam"
    layer: str | tuple[str, ...] = "layer3"
    seed: int = Field(0, ge=0, lt=2**32)

    @field_validator("layer")
    @classmethod
    def _known_layers(cls, layer: str | tuple[str, ...]) -> str | tuple[str, ...]:
        names = split_layers(layer)
        if not names or set(names) - set(LAYERS) or len(set(names)) < len(names):
            raise ValueError(f"must be one of {', '.join(LAYERS)}, or several different ones joined by +")
        return layer
