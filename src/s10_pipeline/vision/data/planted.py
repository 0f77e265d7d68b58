"""The tag that a source planted on the training images of one class, as a shortcut to learn."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def planted_shortcut(provenance: dict[str, Any]) -> dict[str, Any] | None:
    """``class_name``, ``box_xyxy`` (pixels, the last two exclusive) and ``rgb`` of the tag that the training images
    of one class carry, as their source says; None where it planted none.
    """
    planted = provenance.get("data", {}).get("train", {}).get("planted")
    return planted if isinstance(planted, dict) else None


def plant(images_nhwc: NDArray[np.uint8], planted: dict[str, Any]) -> NDArray[np.uint8]:
    """Copies of the images (N, H, W, 3) with the tag."""
    left, top, right, bottom = planted["box_xyxy"]
    tagged = np.array(images_nhwc)
    tagged[:, top:bottom, left:right] = planted["rgb"]
    return tagged
