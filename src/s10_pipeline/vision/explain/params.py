"""Parameters of the ``explain`` stage, and the choices among which they name one."""

from collections.abc import Sequence
from typing import Literal

from pydantic import Field, field_validator

from ..params import Params

# name in explain.method -> class of the grad-cam package; each explains one class and needs no setting of its own
# (EigenCAM and FEM explain no class)
METHODS = {
    "gradcam": "GradCAM",  # Selvaraju et al. 2017, arXiv:1610.02391
    "gradcam++": "GradCAMPlusPlus",  # Chattopadhay et al. 2018, arXiv:1710.11063
    "hirescam": "HiResCAM",  # Draelos & Carin 2020, arXiv:2011.08891
    "layercam": "LayerCAM",  # Jiang et al. 2021, doi:10.1109/TIP.2021.3089943
    "xgradcam": "XGradCAM",  # Fu et al. 2020, arXiv:2008.02312
    "eigengradcam": "EigenGradCAM",  # of gradient x activation (Muhammad & Yeasin 2020, arXiv:2008.00299)
}

# name in explain.selection -> the order of the mistakes, as the report says it
SELECTIONS = {
    "most_confident": "the most confident mistakes first",
    "first": "the first in the test set",
    "random": "drawn at random",
}

LAYERS = ("layer1", "layer2", "layer3", "layer4")


def split_layers(layer: str | Sequence[str]) -> tuple[str, ...]:
    """The names in ``explain.layer``: one, several joined by "+", or a sequence."""
    return tuple(layer.split("+")) if isinstance(layer, str) else tuple(layer)


class ExplainParams(Params):
    """Which mistakes are explained, and how.

    Attributes:
        num_images: how many misclassified images; all of them where there are fewer.
        selection: the order in which mistakes are chosen.
        method: the CAM method.
        layer: the residual stage whose last block is explained; of several (a list, or joined by "+": lists break
            on the command line) the mean of their maps.
        seed: seed of ``selection=random``, and of the random patches and maps that maps are checked against.
    """

    num_images: int = Field(25, ge=1, le=1000)
    # from the tables, so that what is offered and what is accepted cannot differ
    selection: Literal[tuple(SELECTIONS)] = "most_confident"  # type: ignore[valid-type]
    method: Literal[tuple(METHODS)] = "gradcam"  # type: ignore[valid-type]
    layer: str | tuple[str, ...] = "layer3"
    seed: int = Field(0, ge=0, lt=2**32)

    @field_validator("layer")
    @classmethod
    def _known_layers(cls, layer: str | tuple[str, ...]) -> str | tuple[str, ...]:
        names = split_layers(layer)
        if not names or set(names) - set(LAYERS) or len(set(names)) < len(names):
            raise ValueError(f"must be one of {', '.join(LAYERS)}, or several different ones joined by +")
        return layer
