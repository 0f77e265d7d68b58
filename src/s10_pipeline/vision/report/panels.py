"""Draw a figure of many panels: each has an image, its class activation maps, and a caption."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ..explain.cams import is_blank
from ..figure_text import drawable
from .overlay import draw_tiles, heat_colors, tile_size

WRONG, RIGHT, PLAIN, NOTE = "#b3261e", "#14692f", "#1b1f24", "#626a73"
# Largest number of panels that draw_panels draws, because larger figures would be unreadable.
MAX_PANELS = 100

# Resolution in dots per inch. All other lengths below are pixels, so that images are drawn on whole pixels.
_DPI = 150
# Number of pictures per panel -> (largest number of panels per row, width of a picture in pixels).
_LAYOUTS = {2: (5, 160), 4: (3, 128)}
_MIN_COLUMNS = 3
_GAP, _MARGIN, _HEADER = 6, 30, 118
_LINE, _PREFIX, _SUFFIX = 25, 84, 76
_PANEL_GAP_X, _PANEL_GAP_Y = 26, 24
_SCALE_WIDTH, _SCALE_HEIGHT, _SCALE_LABEL = 120, 14, 48
_BLANK_GREY = 236


@dataclass(frozen=True)
class CaptionLine:
    """A line below a panel: ``prefix name suffix``; if it is too wide, only ``name`` is shortened.

    Attributes:
        keep_end: shorten ``name`` at its beginning, as suits a path.
    """

    name: str
    prefix: str = ""
    suffix: str = ""
    color: str = PLAIN
    bold: bool = False
    keep_end: bool = False


@dataclass(frozen=True)
class Panel:
    """An image, uint8 (H, H, 3), with one or two class activation maps, float32 (M, H, H) in [0, 1], and a caption.

    A panel is drawn as the pictures of :func:`~.overlay.draw_tiles`. All panels of a figure have equally many maps.
    """

    image_hwc: NDArray[np.uint8]
    cams_nhw: NDArray[np.float32]
    caption: tuple[CaptionLine, ...]


def draw_panels(panels: Sequence[Panel], *, title: str, subtitle: str, empty_message: str) -> Figure:
    """Draw a grid of panels: up to five per row, or up to three if each panel has two maps and so is wider.

    Only the first :data:`MAX_PANELS` panels are drawn.

    Returns:
        A figure about 1800 pixels wide at its own resolution. Without panels, it shows ``empty_message`` instead.
    """
    shown = panels[:MAX_PANELS]
    if len(shown) < len(panels):
        subtitle = f"{subtitle}; the first {len(shown)} of {len(panels)}"
    num_tiles = 2 * len(shown[0].cams_nhw) if shown else 2
    most, wanted = _LAYOUTS[num_tiles]
    tile = tile_size(len(shown[0].image_hwc), wanted) if shown else wanted
    num_lines = max((len(panel.caption) for panel in shown), default=0)
    columns = max(_MIN_COLUMNS, min(most, len(shown)))
    rows = -(-len(shown) // columns)
    panel_width, panel_height = num_tiles * (tile + _GAP) - _GAP, tile + 8 + num_lines * _LINE
    inner = columns * panel_width + (columns - 1) * _PANEL_GAP_X
    height = _HEADER + _MARGIN + (rows * panel_height + (rows - 1) * _PANEL_GAP_Y if shown else 120)
    pixels = np.full((height, inner + 2 * _MARGIN, 3), 255, np.uint8)
    figure = Figure(figsize=(pixels.shape[1] / _DPI, height / _DPI), dpi=_DPI, facecolor="white")
    FigureCanvasAgg(figure)
    # Draw images into the array ``pixels`` and texts into axes above it, whose coordinates are pixels of the array.
    page = figure.add_axes((0, 0, 1, 1), xlim=(0, pixels.shape[1]), ylim=(height, 0))
    page.set_axis_off()
    _write(page, _MARGIN, 30, title, inner, fontsize=12, fontweight="bold")
    if not shown:
        _write(page, _MARGIN, _HEADER, empty_message, inner, fontsize=10, color=NOTE)
        return figure
    _write(page, _MARGIN, 66, subtitle, inner - 250, fontsize=8.5, color=NOTE)
    _draw_scale(page, pixels, _MARGIN + inner, 66)
    for i, panel in enumerate(shown):
        x = _MARGIN + (i % columns) * (panel_width + _PANEL_GAP_X)
        y = _HEADER + (i // columns) * (panel_height + _PANEL_GAP_Y)
        blank = is_blank(panel.cams_nhw).tolist()
        # If one of the two maps is blank, draw their difference as blank too.
        says_nothing = (False, *blank, any(blank))
        for n, tile_hwc in enumerate(draw_tiles(panel.image_hwc, panel.cams_nhw, tile)):
            left = x + n * (tile + _GAP)
            pixels[y : y + tile, left : left + tile] = _BLANK_GREY if says_nothing[n] else tile_hwc
            if says_nothing[n]:
                middle = (left + tile / 2, y + tile / 2)
                _write(page, *middle, "blank map", tile, color=NOTE, ha="center", va="center")
        for n, line in enumerate(panel.caption):
            _write_line(page, x, y + tile + 10 + n * _LINE, panel_width, line)
    figure.figimage(pixels, zorder=-1)
    return figure


def _draw_scale(page: Axes, pixels: NDArray[np.uint8], right: int, y: int) -> None:
    left = right - _SCALE_LABEL - _SCALE_WIDTH
    colors = heat_colors(np.linspace(0, 1, _SCALE_WIDTH)) * 255
    pixels[y + 3 : y + 3 + _SCALE_HEIGHT, left : left + _SCALE_WIDTH] = colors.astype(np.uint8)
    for x, label in ((left - 8, "low"), (right, "high")):
        _write(page, x, y, label, _SCALE_LABEL, fontsize=8.5, color=NOTE, ha="right")


def _write_line(page: Axes, x: int, y: int, width: int, line: CaptionLine) -> None:
    indent, tail = _PREFIX if line.prefix else 0, _SUFFIX if line.suffix else 0
    style: dict[str, Any] = {"color": line.color, "fontweight": "bold" if line.bold else "normal"}
    _write(page, x, y, line.prefix, _PREFIX, color=NOTE)
    _write(page, x + width, y, line.suffix, _SUFFIX, ha="right", **style)
    _write(page, x + indent, y, line.name, width - indent - tail, keep_end=line.keep_end, **style)


def _write(page: Axes, x: float, y: float, text: str, width: float, *, keep_end: bool = False, **style: Any) -> None:
    """Write a text into the figure at (x, y) pixels; shorten it with an ellipsis to at most ``width`` pixels."""
    text = drawable(text)
    default: dict[str, Any] = {"fontsize": 7.6, "va": "top", "color": PLAIN, "parse_math": False}
    written = page.text(x, y, text, **(default | style))
    while text and written.get_window_extent().width > width:
        text = text[1:] if keep_end else text[:-1]
        written.set_text("…" + text.lstrip() if keep_end else text.rstrip() + "…")
