"""The planted shortcut: a tag that the data source drew on all training images of one class."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def planted_shortcut(provenance: dict[str, Any]) -> dict[str, Any] | None:
    """Return ``class_name``, ``box_xyxy`` (pixels, right and bottom exclusive) and ``rgb`` of the planted tag.

    They are read from the description of a training; None if its training images had no tag.
    """
    planted = provenance.get("data", {}).get("train", {}).get("planted")
    return planted if isinstance(planted, dict) else None


def plant(images_nhwc: NDArray[np.uint8], planted: dict[str, Any]) -> NDArray[np.uint8]:
    """Return copies of the images (N, H, W, 3) with the tag drawn on each."""
    left, top, right, bottom = planted["box_xyxy"]
    tagged = np.array(images_nhwc)
    tagged[:, top:bottom, left:right] = planted["rgb"]
    return tagged
