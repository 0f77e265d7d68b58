"""Pictures as ``data:`` addresses, so that a page needs no file beside it."""

import base64
import io

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from .overlay import enlarge, overlay_cam, tile_size

# Bytes that all pictures of the misclassified images may take together; the page is to stay under 5 MB.
_BUDGET_BYTES = 3_000_000
# (size in pixels, colours of the palette or None for all), the first that fits the budget is taken
_LEVELS = ((160, None), (96, None), (64, 128), (48, 64), (32, 32))


def png_uri(content: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(content).decode("ascii")


def figure_uri(figure: Figure) -> str:
    """A figure as PNG at its own resolution; equal figures give equal text."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return png_uri(buffer.getvalue())


def pair_uris(
    images_nhwc: NDArray[np.uint8], cams_nhw: NDArray[np.float32], budget_bytes: int = _BUDGET_BYTES
) -> list[tuple[str, str]]:
    """Each image and the overlay of its map; the more there are, the smaller they are.

    Args:
        images_nhwc: uint8 (N, H, H, 3), RGB.
        cams_nhw: float32 (N, H, H) in [0, 1].
        budget_bytes: for all of them together; judged on up to 25 of them.
    """
    size, num_colors = _choose_level(images_nhwc, cams_nhw, budget_bytes)
    return [_pair(image, cam, size, num_colors) for image, cam in zip(images_nhwc, cams_nhw, strict=True)]


def _choose_level(
    images_nhwc: NDArray[np.uint8], cams_nhw: NDArray[np.float32], budget_bytes: int
) -> tuple[int, int | None]:
    sample = np.unique(np.linspace(0, len(images_nhwc) - 1, 25).astype(int)) if len(images_nhwc) else np.arange(0)
    for level in _LEVELS:
        num_bytes = sum(len(uri) for i in sample for uri in _pair(images_nhwc[i], cams_nhw[i], *level))
        if num_bytes * len(images_nhwc) <= budget_bytes * len(sample):
            break
    return level


def _pair(
    image_hwc: NDArray[np.uint8], cam_hw: NDArray[np.float32], size: int, num_colors: int | None
) -> tuple[str, str]:
    # a small image is stored as it is: the browser enlarges it without smoothing
    stored = image_hwc if image_hwc.shape[0] <= size else enlarge(image_hwc, size)
    overlay = overlay_cam(image_hwc, cam_hw, tile_size(image_hwc.shape[0], size))
    return _encode(stored, num_colors), _encode(overlay, num_colors)


def _encode(pixels_hwc: NDArray[np.uint8], num_colors: int | None) -> str:
    picture = Image.fromarray(np.ascontiguousarray(pixels_hwc))
    if num_colors is not None:
        picture = picture.quantize(num_colors)
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", optimize=True)
    return png_uri(buffer.getvalue())
