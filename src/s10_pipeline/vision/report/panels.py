"""Draw a figure of many panels: each has an image, its class activation maps, and a caption."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.transforms import Affine2D
from numpy.typing import NDArray

from ..explain.cams import is_blank
from ..figure_text import drawable
from .overlay import draw_tiles, heat_colors, tile_size

COLORS = {"wrong": "#b3261e", "right": "#14692f", "plain": "#1b1f24", "note": "#626a73"}
MAX_PANELS = 100  # a figure with more panels would be unreadable, and too large to draw

# All lengths below are pixels at this resolution, so that images are drawn on whole pixels.
_DPI = 150
_LAYOUTS = {2: (5, 160), 4: (3, 128)}  # tiles per panel -> most panels per row, pixels per tile
_MIN_COLUMNS = 3
_GAP, _MARGIN, _HEADER = 6, 30, 118
_LINE, _FONT_POINTS = 25, 7.6
_PANEL_GAP_X, _PANEL_GAP_Y = 26, 24
_SCALE_WIDTH, _SCALE_HEIGHT, _SCALE_LABEL = 120, 14, 48
_BLANK_GREY = 236


@dataclass(frozen=True)
class CaptionLine:
    """A line ``prefix name suffix``; if it is too wide, only ``name`` is shortened.

    Attributes:
        keep_end: shorten ``name`` at its beginning, as suits a path.
    """

    name: str
    prefix: str = ""
    suffix: str = ""
    color: Literal["wrong", "right", "plain", "note"] = "plain"
    bold: bool = False
    keep_end: bool = False


@dataclass(frozen=True)
class Panel:
    """An image, uint8 (H, H, 3), with its one or two maps, float32 (1 or 2, H, H) in [0, 1], and its caption.

    It is drawn as the tiles of :func:`~.overlay.draw_tiles`. All panels of a figure have the same number of maps.
    """

    image_hwc: NDArray[np.uint8]
    cams_nhw: NDArray[np.float32]
    caption: tuple[CaptionLine, ...]


def draw_panels(panels: Sequence[Panel], *, title: str, subtitle: str, empty_message: str) -> Figure:
    """Draw the first :data:`MAX_PANELS` panels as a grid, with up to five per row; three if each has two maps.

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

    page = _Page(inner + 2 * _MARGIN, height)
    page.write(_MARGIN, 30, title, inner, 12, fontweight="bold")
    if not shown:
        page.write(_MARGIN, _HEADER, empty_message, inner, 10, color="note")
        return page.figure
    page.color_scale(_MARGIN + inner, 66)
    page.write(_MARGIN, 66, subtitle, inner - 250, 8.5, color="note")
    for i, panel in enumerate(shown):
        x = _MARGIN + (i % columns) * (panel_width + _PANEL_GAP_X)
        y = _HEADER + (i // columns) * (panel_height + _PANEL_GAP_Y)
        blank = is_blank(panel.cams_nhw).tolist()
        # the difference is blank if one of the maps is
        says_nothing = (False, *blank, any(blank))
        for n, pixels in enumerate(draw_tiles(panel.image_hwc, panel.cams_nhw, tile)):
            page.tile(x + n * (tile + _GAP), y, pixels, says_nothing[n])
        page.caption(x, y + tile + 10, panel_width, panel.caption)
    page.figure.figimage(page.canvas)
    return page.figure


class _Page:
    """A white figure with pixel coordinates from its upper left corner: images go on a canvas, texts above it."""

    def __init__(self, width: int, height: int) -> None:
        self.canvas = np.full((height, width, 3), 255, np.uint8)
        self.figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI, facecolor="white")
        FigureCanvasAgg(self.figure)
        self._pixels = Affine2D().scale(1 / width, -1 / height).translate(0, 1) + self.figure.transFigure

    def paste(self, x: int, y: int, pixels: NDArray[np.uint8]) -> None:
        self.canvas[y : y + pixels.shape[0], x : x + pixels.shape[1]] = pixels

    def tile(self, x: int, y: int, pixels: NDArray[np.uint8], blank: bool) -> None:
        self.paste(x, y, np.full_like(pixels, _BLANK_GREY) if blank else pixels)
        if blank:
            middle = len(pixels) / 2
            self.write(x + middle, y + middle, "blank map", len(pixels), color="note", ha="center", va="center")

    def caption(self, x: int, y: int, width: int, lines: Sequence[CaptionLine]) -> None:
        tops = [y + n * _LINE for n in range(len(lines))]
        prefixes = [(top, line.prefix) for top, line in zip(tops, lines, strict=True) if line.prefix]
        indent = max((self.write(x, top, text, width, color="note") + 8 for top, text in prefixes), default=0.0)
        for top, line in zip(tops, lines, strict=True):
            left, right = x + (indent if line.prefix else 0), float(x + width)
            style: dict[str, Any] = {"color": line.color, "fontweight": "bold" if line.bold else "normal"}
            if line.suffix:
                right -= self.write(right, top, line.suffix, right - left, ha="right", **style) + 8
            self.write(left, top, line.name, right - left, keep_end=line.keep_end, **style)

    def color_scale(self, right: int, y: int) -> None:
        left = right - _SCALE_LABEL - _SCALE_WIDTH
        ramp = (heat_colors(np.linspace(0, 1, _SCALE_WIDTH)) * 255).astype(np.uint8)
        self.paste(left, y + 3, np.tile(ramp, (_SCALE_HEIGHT, 1, 1)))
        self.write(left - 8, y, "low", _SCALE_LABEL, 8.5, color="note", ha="right")
        self.write(right, y, "high", _SCALE_LABEL, 8.5, color="note", ha="right")

    def write(
        self, x: float, y: float, text: str, width: float, points: float = _FONT_POINTS, *,
        color: str = "plain", keep_end: bool = False, va: str = "top", **style: Any,
    ) -> float:  # fmt: skip
        """Write ``text`` on one line, shortened with an ellipsis if wider than ``width``; return the width drawn."""
        text = drawable(text)
        style |= {"color": COLORS[color], "fontsize": points, "va": va, "parse_math": False}
        written = self.figure.text(x, y, text, transform=self._pixels, **style)

        def width_of(length: int) -> float:
            if length < len(text):
                written.set_text("…" + text[-length:].lstrip() if keep_end else text[:length].rstrip() + "…")
            return float(written.get_window_extent().width)

        if width_of(len(text)) > width:
            width_of(max(1, bisect_right(range(1, len(text)), width, key=width_of)))
        return float(written.get_window_extent().width)
