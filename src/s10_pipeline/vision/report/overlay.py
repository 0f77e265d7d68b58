"""Draw class activation maps, and the difference of two maps, over an image of a given size."""

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image

# "turbo" (Mikhailov 2019) without its two ends, because they are nearly black and would look like shadow.
_COLORMAP, _FIRST, _LAST = "turbo", 0.08, 0.93
# Share of its colour that an image keeps under a map. The image is greyed, so that strong colours are those of the map.
_COLOR_KEPT = 0.35
_MIN_OPACITY, _MAX_OPACITY = 0.30, 0.62
_DIFFERENCE_COLORMAP, _MAX_DIFFERENCE_OPACITY = "RdBu_r", 0.8


def tile_size(image_size: int, wanted: int) -> int:
    """Return the multiple of ``image_size`` nearest to ``wanted`` pixels, for enlarging without smoothing.

    For an image larger than ``wanted``, return ``wanted``.
    """
    return image_size * max(1, round(wanted / image_size)) if image_size <= wanted else wanted


def heat_colors(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return RGB colours (..., 3) in [0, 1] of values in [0, 1]: from blue over green to red."""
    colors: NDArray[np.float64] = colormaps[_COLORMAP](_FIRST + (_LAST - _FIRST) * values)[..., :3]
    return colors


def enlarge(image_hwc: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Resize a square image to (size, size, 3): nearest neighbour for upscaling, Lanczos for downscaling."""
    rule = Image.Resampling.NEAREST if image_hwc.shape[0] <= size else Image.Resampling.LANCZOS
    return np.asarray(Image.fromarray(image_hwc).resize((size, size), rule))


def difference_colors(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return RGB colours (..., 3) in [0, 1] of values in [-1, 1]: blue below 0, red above."""
    # Skip the pale middle of the colour map, because it looks like the greyed image under the map.
    colors: NDArray[np.float64] = colormaps[_DIFFERENCE_COLORMAP](0.5 + 0.25 * (values + np.sign(values)))[..., :3]
    return colors


def overlay_cam(image_hwc: NDArray[np.uint8], cam_hw: NDArray[np.float32], size: int) -> NDArray[np.uint8]:
    """Draw a class activation map over its image.

    Args:
        image_hwc: uint8 (H, H, 3), RGB.
        cam_hw: float32 (H, H) in [0, 1].
        size: height and width of the result in pixels.

    Returns:
        uint8 (size, size, 3): blue where the map is 0, red where it is 1, more opaque the higher it is.
    """
    smooth = _enlarge_map(cam_hw, size).clip(0, 1)
    opacity = _MIN_OPACITY + (_MAX_OPACITY - _MIN_OPACITY) * smooth
    return _blend(image_hwc, heat_colors(smooth), opacity)


def overlay_difference(
    image_hwc: NDArray[np.uint8], cam_hw: NDArray[np.float32], other_hw: NDArray[np.float32], size: int
) -> NDArray[np.uint8]:
    """Draw the difference of two maps over an image: red where ``cam_hw`` is higher, blue where ``other_hw`` is.

    Arguments and result are those of :func:`overlay_cam`. Where the maps agree, only the faded image is visible.
    """
    smooth = _enlarge_map(cam_hw - other_hw, size).clip(-1, 1)
    return _blend(image_hwc, difference_colors(smooth), _MAX_DIFFERENCE_OPACITY * np.abs(smooth) ** 0.6)


def draw_tiles(image_hwc: NDArray[np.uint8], cams_nhw: NDArray[np.float32], size: int) -> tuple[NDArray[np.uint8], ...]:
    """Return uint8 (size, size, 3) pictures: the image, one overlay per map and, for two maps, their difference."""
    tiles = [enlarge(image_hwc, size), *(overlay_cam(image_hwc, cam_hw, size) for cam_hw in cams_nhw)]
    if len(cams_nhw) == 2:
        tiles.append(overlay_difference(image_hwc, cams_nhw[0], cams_nhw[1], size))
    return tuple(tiles)


def _enlarge_map(map_hw: NDArray[np.floating], size: int) -> NDArray[np.float32]:
    picture = Image.fromarray(map_hw.astype(np.float32))
    return np.asarray(picture.resize((size, size), Image.Resampling.BICUBIC))


def _blend(
    image_hwc: NDArray[np.uint8], colors_hwc: NDArray[np.float64], opacity_hw: NDArray[np.floating]
) -> NDArray[np.uint8]:
    picture = enlarge(image_hwc, len(colors_hwc)) / 255
    grey = picture @ np.array([0.299, 0.587, 0.114])
    picture = _COLOR_KEPT * picture + (1 - _COLOR_KEPT) * grey[..., None]
    blended = (1 - opacity_hw[..., None]) * picture + opacity_hw[..., None] * colors_hwc
    overlay: NDArray[np.uint8] = np.round(blended * 255).astype(np.uint8)
    return overlay
