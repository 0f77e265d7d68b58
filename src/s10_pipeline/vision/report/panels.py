"""A figure of many panels, each an image beside its class activation map with a few lines below."""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from numpy.typing import NDArray

from ..figure_text import drawable
from .overlay import enlarge, heat_colors, overlay_cam, tile_size

COLORS = {"wrong": "#b3261e", "right": "#14692f", "plain": "#1b1f24", "note": "#626a73"}
MAX_PANELS = 100  # a figure of more is neither readable nor drawable

# All lengths in pixels at this resolution; images then fall on whole pixels.
_DPI = 150
_LAYOUTS = {2: (5, 160), 4: (3, 128)}  # tiles a panel -> panels a row, pixels a tile
_MIN_COLUMNS = 3
_GAP, _MARGIN, _HEADER = 6, 30, 118
_LINE, _FONT_POINTS = 25, 7.6
_PANEL_GAP_X, _PANEL_GAP_Y = 26, 24


@dataclass(frozen=True)
class CaptionLine:
    """``prefix name suffix``: where they do not fit, ``name`` alone is shortened."""

    name: str
    prefix: str = ""
    suffix: str = ""
    color: Literal["wrong", "right", "plain", "note"] = "plain"
    bold: bool = False
    keep_end: bool = False


@dataclass(frozen=True)
class Panel:
    """One image: uint8 (H, H, 3), its map float32 (H, H) in [0, 1] (None: blank) and its caption.

    ``more`` are further tiles to the right of the map: each a function of the tile's size that gives uint8
    (size, size, 3), or None for a blank one. All panels of a figure have as many: none or two.
    """

    image_hwc: NDArray[np.uint8]
    cam_hw: NDArray[np.float32] | None
    caption: tuple[CaptionLine, ...]
    more: tuple[Callable[[int], NDArray[np.uint8]] | None, ...] = ()


def draw_panels(panels: Sequence[Panel], *, title: str, subtitle: str, empty_message: str) -> Figure:
    """Draw a grid of panels in reading order, five or three in a row; at most :data:`MAX_PANELS` panels.

    Returns:
        A figure of some 1800 pixels in width at its own resolution; with ``empty_message`` alone
        where there are no panels.
    """
    shown = panels[:MAX_PANELS]
    if len(shown) < len(panels):
        subtitle = f"{subtitle}; the first {len(shown)} of {len(panels)}"
    num_tiles = 2 + (len(shown[0].more) if shown else 0)
    most, wanted = _LAYOUTS[num_tiles]
    tile = tile_size(shown[0].image_hwc.shape[0], wanted) if shown else wanted
    num_lines = max((len(panel.caption) for panel in shown), default=0)
    columns = max(_MIN_COLUMNS, min(most, len(shown)))
    rows = -(-len(shown) // columns)
    panel_width, panel_height = num_tiles * (tile + _GAP) - _GAP, tile + 8 + num_lines * _LINE
    width = 2 * _MARGIN + columns * panel_width + (columns - 1) * _PANEL_GAP_X
    height = _HEADER + _MARGIN + (rows * panel_height + (rows - 1) * _PANEL_GAP_Y if shown else 120)

    page = _Page(width, height)
    page.write(_MARGIN, 30, page.fit(title, width - 2 * _MARGIN, 12, bold=True), 12, bold=True)
    if not shown:
        page.write(_MARGIN, _HEADER, page.fit(empty_message, width - 2 * _MARGIN, 10), 10, color=COLORS["note"])
        return page.figure
    page.color_scale(width - _MARGIN, 66)
    page.write(_MARGIN, 66, page.fit(subtitle, width - 2 * _MARGIN - 250, 8.5), 8.5, color=COLORS["note"])
    for i, panel in enumerate(shown):
        x = _MARGIN + (i % columns) * (panel_width + _PANEL_GAP_X)
        y = _HEADER + (i // columns) * (panel_height + _PANEL_GAP_Y)
        for n, draw in enumerate((*_image_and_map(panel), *panel.more)):
            if draw is None:
                page.blank(x + n * (tile + _GAP), y, tile)
            else:
                page.picture(x + n * (tile + _GAP), y, draw(tile))
        indent = max(
            (page.text_width(line.prefix, _FONT_POINTS) + 8 for line in panel.caption if line.prefix), default=0
        )
        for n, line in enumerate(panel.caption):
            page.caption(x, y + tile + 10 + n * _LINE, panel_width, round(indent), line)
    return page.figure


def _image_and_map(panel: Panel) -> tuple[Callable[[int], NDArray[np.uint8]] | None, ...]:
    cam_hw = panel.cam_hw
    overlay = None if cam_hw is None else lambda size: overlay_cam(panel.image_hwc, cam_hw, size)
    return lambda size: enlarge(panel.image_hwc, size), overlay


class _Page:
    """A white figure addressed in pixels from its upper left corner."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI, facecolor="white")
        FigureCanvasAgg(self.figure)
        self._renderer = RendererAgg(1, 1, _DPI)  # type: ignore[no-untyped-call]

    def picture(self, x: int, y: int, pixels: NDArray[np.uint8]) -> None:
        h, w = pixels.shape[:2]
        axes = self.figure.add_axes((x / self.width, 1 - (y + h) / self.height, w / self.width, h / self.height))
        axes.imshow(pixels, interpolation="nearest", aspect="auto")
        axes.set_axis_off()

    def blank(self, x: int, y: int, size: int) -> None:
        self.picture(x, y, np.full((size, size, 3), 236, np.uint8))
        place = ((x + size / 2) / self.width, 1 - (y + size / 2) / self.height)
        self.figure.text(*place, "blank map", fontsize=_FONT_POINTS, color=COLORS["note"], ha="center", va="center")

    def write(
        self,
        x: float,
        y: float,
        text: str,
        points: float,
        *,
        bold: bool = False,
        color: str = "#1b1f24",
        ha: str = "left",
    ) -> None:
        self.figure.text(
            x / self.width,
            1 - y / self.height,
            text,
            fontsize=points,
            fontweight="bold" if bold else "normal",
            color=color,
            ha=ha,
            va="top",
            parse_math=False,
        )

    def caption(self, x: int, y: int, width: int, indent: int, line: CaptionLine) -> None:
        color, points = COLORS[line.color], _FONT_POINTS
        if line.prefix:
            self.write(x, y, line.prefix, points, color=COLORS["note"])
            x, width = x + indent, width - indent
        if line.suffix:
            self.write(x + width, y, line.suffix, points, bold=line.bold, color=color, ha="right")
            width -= round(self.text_width(line.suffix, points, line.bold) + 8)
        name = self.fit(line.name, width, points, bold=line.bold, keep_end=line.keep_end)
        self.write(x, y, name, points, bold=line.bold, color=color)

    def color_scale(self, right: int, y: int) -> None:
        bar_width, label_width = 120, 48
        ramp = heat_colors(np.linspace(0, 1, bar_width))[None]
        self.picture(right - label_width - bar_width, y + 3, np.repeat((ramp * 255).astype(np.uint8), 14, axis=0))
        self.write(right - label_width - bar_width - 8, y, "low", 8.5, color=COLORS["note"], ha="right")
        self.write(right, y, "high", 8.5, color=COLORS["note"], ha="right")

    def text_width(self, text: str, points: float, bold: bool = False) -> float:
        font = FontProperties(size=points, weight="bold" if bold else "normal")
        extent = self._renderer.get_text_width_height_descent(text, font, False)  # type: ignore[no-untyped-call]
        return float(extent[0])

    def fit(self, text: str, width: float, points: float, *, bold: bool = False, keep_end: bool = False) -> str:
        """``text`` in one line, cut with an ellipsis where it is wider than ``width``."""
        text = drawable(text)
        if self.text_width(text, points, bold) <= width:
            return text

        def cut(length: int) -> str:
            return "…" + text[-length:].lstrip() if keep_end else text[:length].rstrip() + "…"

        longest = bisect_right(range(1, len(text)), width, key=lambda n: self.text_width(cut(n), points, bold))
        return cut(longest) if longest else "…"
