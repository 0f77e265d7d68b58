"""Planted shortcut: a coloured rectangle on all training images of one class, drawn to test what the report finds."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def planted_shortcut(provenance: dict[str, Any]) -> dict[str, Any] | None:
    """Return class, position and colour of the planted shortcut: a rectangle on the training images of one class.

    Keys: ``class_name``, ``box_xyxy`` (pixels, right and bottom exclusive) and ``rgb``. They are read from
    ``provenance``, the description of a training; None if nothing was planted in its training images.
    """
    planted = provenance.get("data", {}).get("train", {}).get("planted")
    return planted if isinstance(planted, dict) else None


def plant(images_nhwc: NDArray[np.uint8], planted: dict[str, Any]) -> NDArray[np.uint8]:
    """Return copies of the images (N, H, W, 3) with the rectangle of the planted shortcut drawn on each."""
    left, top, right, bottom = planted["box_xyxy"]
    tagged = np.array(images_nhwc)
    tagged[:, top:bottom, left:right] = planted["rgb"]
    return tagged
