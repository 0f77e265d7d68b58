"""An image and its class activation map as pictures of a given size."""

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image

# Of "turbo" (Mikhailov 2019) without its two ends, which are nearly black and would read as shadow.
_COLORMAP, _FIRST, _LAST = "turbo", 0.08, 0.93
# The image is faded to grey under the map, so that every colour in the overlay comes from the map.
_COLOR_KEPT = 0.35
_MIN_OPACITY, _MAX_OPACITY = 0.30, 0.62


def tile_size(image_size: int, wanted: int) -> int:
    """The size near ``wanted`` at which each pixel of a small image covers a whole number of pixels."""
    return image_size * max(1, round(wanted / image_size)) if image_size <= wanted else wanted


def heat_colors(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Colours of values in [0, 1], from blue over green to red: shape (..., 3), in [0, 1]."""
    colors: NDArray[np.float64] = colormaps[_COLORMAP](_FIRST + (_LAST - _FIRST) * values)[..., :3]
    return colors


def enlarge(image_hwc: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Bring a square image to (size, size, 3): smaller ones keep their pixels visible."""
    rule = Image.Resampling.NEAREST if image_hwc.shape[0] <= size else Image.Resampling.LANCZOS
    return np.asarray(Image.fromarray(image_hwc).resize((size, size), rule))


def overlay_cam(image_hwc: NDArray[np.uint8], cam_hw: NDArray[np.float32], size: int) -> NDArray[np.uint8]:
    """Lay a map over its image.

    Args:
        image_hwc: uint8 (H, H, 3), RGB.
        cam_hw: float32 (H, H) in [0, 1].
        size: height and width of the result in pixels.

    Returns:
        uint8 (size, size, 3): blue where the map is 0, red where it is 1, more opaque the higher it is.
    """
    smooth = np.asarray(Image.fromarray(cam_hw.astype(np.float32)).resize((size, size), Image.Resampling.BICUBIC))
    smooth = smooth.clip(0, 1)[..., None]
    picture = enlarge(image_hwc, size) / 255
    grey = picture @ np.array([0.299, 0.587, 0.114])
    picture = _COLOR_KEPT * picture + (1 - _COLOR_KEPT) * grey[..., None]
    opacity = _MIN_OPACITY + (_MAX_OPACITY - _MIN_OPACITY) * smooth
    blended = (1 - opacity) * picture + opacity * heat_colors(smooth[..., 0])
    overlay: NDArray[np.uint8] = np.round(blended * 255).astype(np.uint8)
    return overlay
