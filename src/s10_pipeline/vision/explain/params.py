"""Parameters of the ``explain`` stage."""

from typing import Literal

from pydantic import Field

from ..params import Params

SELECTIONS = ("most_confident", "first", "random")


class ExplainParams(Params):
    """Which mistakes are explained, and how.

    Attributes:
        num_images: how many misclassified images; all of them where there are fewer.
        selection: ``most_confident`` (highest confidence first), ``first`` (by index) or ``random``.
        method: of the grad-cam package.
        layer: the residual stage whose last block is explained.
        seed: of ``selection=random``.
    """

    num_images: int = Field(25, ge=1, le=1000)
    selection: Literal["most_confident", "first", "random"] = "most_confident"
    method: Literal["gradcam", "gradcam++", "hirescam", "layercam", "xgradcam", "eigengradcam"] = "gradcam"
    layer: Literal["layer1", "layer2", "layer3", "layer4"] = "layer3"
    seed: int = Field(0, ge=0, lt=2**32)
