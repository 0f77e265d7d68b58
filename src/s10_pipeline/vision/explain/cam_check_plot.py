"""Draw the check of class activation maps: how far removing the marked pixels lowers the class's probability."""

from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from ..figure_text import literal

_CURVES = {
    "maps": ("what the maps mark", "#B2182B", "-"),
    "other_maps": ("what other images' maps mark", "#A66F00", "--"),
    "random_maps": ("random patches", "#0072B2", "--"),
}


def plot_cam_check(cam_check: dict[str, Any], title: str) -> Figure:
    """Plot how far the explained class's probability falls against the share of pixels removed, for maps and controls.

    Args:
        cam_check: result of :func:`.faithfulness.check_cams`.
    """
    title = literal(title)
    figure = Figure(figsize=(5.8, 3.5), dpi=200, layout="constrained")
    ax = figure.subplots()
    for name, (label, color, style) in _CURVES.items():
        fall = cam_check["drop"].get(name)
        if fall:
            x, y = [0, *(p / 100 for p in cam_check["percentages"])], [0, *fall]
            ax.plot(x, y, style, color=color, marker="o", markersize=4, label=label)
    if cam_check["drop"]:
        ax.legend(title="pixels removed", loc="upper left")
    else:
        ax.text(0.5, 0.5, "too few maps to check", ha="center", va="center", transform=ax.transAxes, color="#626a73")
    ax.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    ax.set(xlabel="share of the pixels removed", ylabel="fall of the probability")
    ax.set_title(title, wrap=True)
    ax.grid(alpha=0.25)
    return figure
