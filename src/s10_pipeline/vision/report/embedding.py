"""Embed figures (as inline SVG) and images (as ``data:`` URIs) in a page, so that the page is one file."""

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

# Upper limit, in bytes, of the section of misclassified images, so that the report stays below 5 MB with up to 400 of
# them. It is for images and Grad-CAM maps, less the HTML text of each misclassified image.
_BUDGET_BYTES, _TEXT_BYTES = 2_200_000, 2_800
# Choices of (size in pixels, number of palette colours or None for full colour), best first. The first choice with
# which all images fit into the budget is used.
_LEVELS = ((96, None), (96, 128), (64, 96), (48, 64), (32, 32), (24, 16))
_THUMBNAIL, _THUMBNAIL_COLORS = 96, 128
# Pairs (pattern, replacement) that turn an SVG file of matplotlib into an ``<svg>`` element for an HTML page with its
# own style sheet.
_IN_A_PAGE = (
    (r'( xmlns(:xlink)?="[^"]*")|(<style.*?</style>)|(font-family: [^;"]*;? ?)', ""),
    # Remove the ids of groups, because they are the same in every figure, but ids on a page must be unique.
    ('<g id="[^"]*">', "<g>"),
    ('(?<=: )#([0-9a-f]{6})(?=[;"])', r"var(--figure-\1, #\1)"),
)

Pixels = NDArray[np.uint8]


def png_uri(content: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(content).decode("ascii")


def figure_svg(figure: Figure, name: str) -> Markup:
    """Return a figure as an ``<svg>`` element; its texts are text elements in the font of the page, not outlines.

    Each colour ``#rrggbb`` becomes the CSS variable ``--figure-rrggbb``, which defaults to that colour, so style sheets
    can change it. Ids depend on ``name``, so figures on one page do not clash. Equal figures give equal text.
    """
    buffer = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(buffer, format="svg", facecolor="none", metadata=metadata)
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    for pattern, new in _IN_A_PAGE:
        svg = re.sub(pattern, new, svg, flags=re.DOTALL)
    # Markup needs no escaping here, because matplotlib escapes texts in SVG files.
    return Markup(svg)  # noqa: S704


def thumbnail_uri(image_hwc: Pixels, size: int = _THUMBNAIL) -> str:
    """Return an image as a ``data:`` URI (PNG), scaled down to ``size`` pixels if it is larger.

    A result of more than 48 pixels is reduced to a palette.
    """
    small = image_hwc if len(image_hwc) <= size else enlarge(image_hwc, size)
    return picture_uri(small, None if len(small) <= 48 else _THUMBNAIL_COLORS)


def explanation_uris(
    images_nhwc: Pixels,
    cams_nhw: NDArray[np.float32],
    true_cams_nhw: NDArray[np.float32],
    budget_bytes: int = _BUDGET_BYTES,
) -> list[tuple[str, ...]]:
    """Return four ``data:`` URIs (PNG) per image: the image, the maps of predicted and true class, their difference.

    The more images there are, the smaller each one is and the fewer colours it has.

    Args:
        images_nhwc: uint8 (N, H, H, 3), RGB.
        cams_nhw, true_cams_nhw: float32 (N, H, H) in [0, 1].
        budget_bytes: upper limit for all URIs together and 2,800 bytes of text per image, estimated from at most 25 of
            the images. The smallest size may exceed it.
    """

    def encode(i: int, level: tuple[int, int | None]) -> tuple[str, ...]:
        size, num_colors = level
        image = images_nhwc[i]
        cams = np.stack((cams_nhw[i], true_cams_nhw[i]))
        # Store a small image at its own size, because the browser enlarges it without smoothing.
        stored = image if len(image) <= size else enlarge(image, size)
        tiles = (stored, *draw_tiles(image, cams, tile_size(len(image), size))[1:])
        return tuple(picture_uri(pixels, num_colors) for pixels in tiles)

    num_images = len(images_nhwc)
    budget_bytes -= _TEXT_BYTES * num_images
    sample = np.unique(np.linspace(0, num_images - 1, min(num_images, 25)).astype(int)).tolist()
    for level in _LEVELS:
        encoded = {i: encode(i, level) for i in sample}
        if sum(len(uri) for uris in encoded.values() for uri in uris) * num_images <= budget_bytes * len(sample):
            break
    return [encoded.get(i) or encode(i, level) for i in range(num_images)]


def picture_uri(pixels_hwc: Pixels, num_colors: int | None = None) -> str:
    """Return a uint8 (H, W, 3) image as a ``data:`` URI (PNG); reduce it to ``num_colors`` colours unless None."""
    picture = Image.fromarray(np.ascontiguousarray(pixels_hwc))
    if num_colors is not None:
        picture = picture.quantize(num_colors)
    buffer = io.BytesIO()
    # Let Pillow optimise only PNGs with a palette: for full colour it takes ten times as long and saves only 5 %.
    picture.save(buffer, format="PNG", optimize=num_colors is not None)
    return png_uri(buffer.getvalue())
