"""Figures as inline SVG and pictures as ``data:`` addresses, so that a page needs no file beside it."""

import base64
import io
import re

import numpy as np
from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from .overlay import draw_tiles, enlarge, tile_size

# Bytes that all pictures of the misclassified images may take together; the page is to stay under 5 MB.
_BUDGET_BYTES = 2_200_000
# (size in pixels, colours of the palette or None for all), the first that fits the budget is taken
_LEVELS = ((96, None), (96, 128), (64, 96), (48, 64), (32, 32), (24, 16))
_THUMBNAIL, _THUMBNAIL_COLORS = 96, 128
# What an SVG file has and a page must not, or the other way round: pattern, replacement.
_IN_A_PAGE = (
    (r'( xmlns(:xlink)?="[^"]*")|(<style.*?</style>)|(font-family: [^;"]*;? ?)', ""),
    ('<g id="[^"]*">', "<g>"),  # ids of groups are the same in every figure
    ('(?<=: )#([0-9a-f]{6})(?=[;"])', r"var(--figure-\1, #\1)"),
)

Pixels = NDArray[np.uint8]


def png_uri(content: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(content).decode("ascii")


def figure_svg(figure: Figure, name: str) -> Markup:
    """Return a figure as an ``<svg>`` element, in which text is text in the page's font.

    A colour ``#rrggbb`` becomes the CSS variable ``--figure-rrggbb``, with the colour itself where no style sheet sets
    the variable. Ids depend on ``name``, so figures on one page do not clash. Equal figures give equal text.
    """
    buffer = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(buffer, format="svg", facecolor="none", metadata=metadata)
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    for pattern, new in _IN_A_PAGE:
        svg = re.sub(pattern, new, svg, flags=re.DOTALL)
    return Markup(svg)  # noqa: S704 - matplotlib escapes texts


def thumbnail_uri(image_hwc: Pixels, size: int = _THUMBNAIL) -> str:
    """An image for a gallery: small ones as they are, larger ones scaled to ``size`` pixels, in a palette."""
    small = image_hwc if len(image_hwc) <= size else enlarge(image_hwc, size)
    return picture_uri(small, None if len(small) <= 48 else _THUMBNAIL_COLORS)


def explanation_uris(
    images_nhwc: Pixels,
    cams_nhw: NDArray[np.float32],
    true_cams_nhw: NDArray[np.float32],
    budget_bytes: int = _BUDGET_BYTES,
) -> list[tuple[str, ...]]:
    """Each image, its map for the prediction, that for the truth and their difference; the more, the smaller.

    Args:
        images_nhwc: uint8 (N, H, H, 3), RGB.
        cams_nhw, true_cams_nhw: float32 (N, H, H) in [0, 1].
        budget_bytes: for all of them together; judged on up to 25 of them.
    """

    def encode(i: int, level: tuple[int, int | None]) -> tuple[str, ...]:
        size, num_colors = level
        image = images_nhwc[i]
        cams = np.stack((cams_nhw[i], true_cams_nhw[i]))
        # a small image is stored as it is: the browser enlarges it without smoothing
        stored = image if len(image) <= size else enlarge(image, size)
        tiles = (stored, *draw_tiles(image, cams, tile_size(len(image), size))[1:])
        return tuple(picture_uri(pixels, num_colors) for pixels in tiles)

    num_images = len(images_nhwc)
    sample = np.unique(np.linspace(0, num_images - 1, min(num_images, 25)).astype(int)).tolist()
    for level in _LEVELS:
        encoded = {i: encode(i, level) for i in sample}
        if sum(len(uri) for uris in encoded.values() for uri in uris) * num_images <= budget_bytes * len(sample):
            break
    return [encoded.get(i) or encode(i, level) for i in range(num_images)]


def picture_uri(pixels_hwc: Pixels, num_colors: int | None = None) -> str:
    """uint8 (H, W, 3) as PNG, in a palette of ``num_colors`` where that is not None."""
    picture = Image.fromarray(np.ascontiguousarray(pixels_hwc))
    if num_colors is not None:
        picture = picture.quantize(num_colors)
    buffer = io.BytesIO()
    # the most thorough compression of a picture in all its colours takes ten times as long and saves 5 %
    picture.save(buffer, format="PNG", optimize=num_colors is not None)
    return png_uri(buffer.getvalue())
