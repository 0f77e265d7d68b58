"""Transforms that albumentations 2 lacks: Cutout as in its paper, and a padded random crop for any image size."""

from collections.abc import Sequence
from typing import Annotated, Any

import albumentations as A
import cv2
import numpy as np
from albumentations.core.transforms_interface import BaseTransformInitSchema
from numpy.typing import NDArray
from pydantic import AfterValidator, Field

Box = tuple[int, int, int, int]


def _pixels_or_fraction(size: float) -> float:
    if size > 1 and size != int(size):
        raise ValueError("a size above 1 is in pixels and must be a whole number; up to 1 it is a fraction")
    return size


Size = Annotated[float, Field(gt=0), AfterValidator(_pixels_or_fraction)]


def _in_pixels(size: float, image_side: int) -> int:
    """Convert a square's side or a padding to pixels, at least 1; a float up to 1.0 is a fraction of ``image_side``."""
    return int(size) if size > 1 or isinstance(size, int) else max(1, round(size * image_side))


class Cutout(A.ImageOnlyTransform):
    """Erase squares whose centres lie anywhere in the image (DeVries and Taylor 2017, arXiv:1708.04552).

    A square that crosses the border is clipped, as in the paper: 16 x 16 on 32 x 32 erases 196 pixels on average.
    (albumentations' ``CoarseDropout`` places squares inside the image, so it always erases 256.)

    Args:
        size: side length of a square: in pixels, or a fraction of the image's shorter side if it is a float up to 1.0.
        num_holes: number of squares per image.
        fill: grey value 0-255, or one value per channel. In ``augment.train``, ``mean`` stands for the mean of the
            training images, which normalisation maps to 0, the value of the paper.
        p: probability that an image gets any squares.
    """

    class InitSchema(BaseTransformInitSchema):
        size: Annotated[int, Field(gt=0)] | Size
        num_holes: Annotated[int, Field(ge=1)]
        fill: Annotated[float, Field(ge=0, le=255)] | Sequence[Annotated[float, Field(ge=0, le=255)]]

    def __init__(
        self, size: float = 0.5, num_holes: int = 1, fill: float | Sequence[float] = 0, p: float = 0.5
    ) -> None:
        super().__init__(p=p)
        self.size = size
        self.num_holes = num_holes
        self.fill = fill

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        height, width = params["shape"][:2]
        side = _in_pixels(self.size, min(height, width))
        holes: list[Box] = []
        for _ in range(self.num_holes):
            top = self.py_random.randrange(height) - side // 2
            left = self.py_random.randrange(width) - side // 2
            holes.append((max(top, 0), max(left, 0), top + side, left + side))
        return {"holes": holes}

    def apply(self, img: NDArray[Any], holes: list[Box], **params: Any) -> NDArray[Any]:
        img = img.copy()
        for top, left, bottom, right in holes:
            img[top:bottom, left:right] = self.fill
        return img


class PaddedRandomCrop(A.ImageOnlyTransform):
    """Pad the image on all sides, then crop its original size at a random position (He et al. 2015, section 4.2).

    Args:
        padding: padding per side: in pixels, or a fraction of the image's shorter side if it is a float up to 1.0.
        reflect: fill the padding with the mirrored image instead of black.
        p: probability that an image is shifted.
    """

    class InitSchema(BaseTransformInitSchema):
        padding: Annotated[int, Field(gt=0)] | Size
        reflect: bool

    def __init__(self, padding: float = 0.125, reflect: bool = False, p: float = 1.0) -> None:
        super().__init__(p=p)
        self.padding = padding
        self.reflect = reflect

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        pad = _in_pixels(self.padding, min(params["shape"][:2]))
        return {"pad": pad, "top": self.py_random.randint(0, 2 * pad), "left": self.py_random.randint(0, 2 * pad)}

    def apply(self, img: NDArray[Any], pad: int, top: int, left: int, **params: Any) -> NDArray[Any]:
        border = cv2.BORDER_REFLECT_101 if self.reflect else cv2.BORDER_CONSTANT
        padded = cv2.copyMakeBorder(img, pad, pad, pad, pad, border)
        return np.ascontiguousarray(padded[top : top + img.shape[0], left : left + img.shape[1]])


OUR_TRANSFORMS: dict[str, type[A.BasicTransform]] = {"Cutout": Cutout, "PaddedRandomCrop": PaddedRandomCrop}
