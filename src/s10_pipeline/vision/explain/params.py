"""Parameters of the ``explain`` stage, and the choices of CAM methods and selections."""

from collections.abc import Sequence
from typing import Literal

from pydantic import Field, field_validator

from ..params import Params

# Allowed values of explain.method, each with its class in the grad-cam package. Methods that cannot explain a given
# class (EigenCAM, FEM) or need further settings are left out.
METHODS = {
    "gradcam": "GradCAM",  # Grad-CAM: Selvaraju et al. 2017, arXiv:1610.02391.
    "gradcam++": "GradCAMPlusPlus",  # Grad-CAM++: Chattopadhay et al. 2018, arXiv:1710.11063.
    "hirescam": "HiResCAM",  # HiResCAM: Draelos & Carin 2020, arXiv:2011.08891.
    "layercam": "LayerCAM",  # LayerCAM: Jiang et al. 2021, doi:10.1109/TIP.2021.3089943.
    "xgradcam": "XGradCAM",  # XGrad-CAM: Fu et al. 2020, arXiv:2008.02312.
    "eigengradcam": "EigenGradCAM",  # Eigen-CAM of gradient x activation: Muhammad & Yeasin 2020, arXiv:2008.00299.
}

# Allowed values of explain.selection, each with the report's words for the misclassified images that it shows first.
SELECTIONS = {
    "most_confident": "the most confident mistakes first",
    "first": "the first in the test set",
    "random": "drawn at random",
}

LAYERS = ("layer1", "layer2", "layer3", "layer4")


def split_layers(layer: str | Sequence[str]) -> tuple[str, ...]:
    """Return the layer names in ``explain.layer``, which is one name, several joined by "+", or a sequence."""
    return tuple(layer.split("+")) if isinstance(layer, str) else tuple(layer)


class ExplainParams(Params):
    """Parameters of the explain stage: which misclassified images get class activation maps, and by which method.

    Attributes:
        num_images: number of misclassified images to explain; all if there are fewer.
        selection: order in which misclassified images are chosen.
        method: method that computes class activation maps.
        layer: residual stage whose last block is explained; for several stages, the mean of their maps is used. Several
            stages are given as a list, or joined by "+" on the command line, which cannot pass lists.
        seed: seed of the choice with ``selection=random``, and of the random patches with which the maps are compared.
    """

    num_images: int = Field(25, ge=1, le=1000)
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
