"""Draw the learning-rate range test."""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from ..figure_text import literal
from .rate import METHODS

MAX_MARKS = 2000
COLORS = {"auto": "#0072B2", "minimum": "#D55E00"}


def plot_lr_curve(lr_curve: pd.DataFrame, best_lr: dict[str, Any], title: str) -> Figure:
    """Draw the losses of all range tests over the learning rate; a solid vertical line marks the rate that is used.

    Dots are losses of single batches, lines are smoothed losses, one line per test. The grey part, from
    ``best_lr["read_to"]`` on, is not used to find the lowest loss. The coloured band spans the rates from single tests.
    """
    title = literal(title)
    figure = Figure(figsize=(5.8, 4.1), dpi=200, layout="constrained")
    ax = figure.subplots()
    if lr_curve.empty:
        ax.set_axis_off()
        ax.text(0.5, 0.5, f"no range test at {best_lr['lr']:g}: {best_lr['unread']}", ha="center")
        ax.set_title(title)
        return figure
    read_to = best_lr.get("read_to") or float("inf")
    before, behind = lr_curve[lr_curve["lr"] < read_to], lr_curve[lr_curve["lr"] >= read_to]
    for part, dots, line in ((before, "#9aa7b8", "#000000"), (behind, "#d8d8d8", "#c4c4c4")):
        # Let an SVG store thousands of dots as one embedded image, to keep the report small.
        drawn = ax.plot(part["lr"], part["raw_loss"], ".", color=dots, markersize=5, rasterized=len(part) > MAX_MARKS)
        for _, test in part.groupby("run"):
            drawn += ax.plot(test["lr"], test["loss"], color=line, linewidth=2)
        # Label only the first dots and the first line, so that the legend has one entry for all tests.
        if part is before:
            for artist, label in zip(drawn, ("loss of a batch", "smoothed loss of a test"), strict=False):
                artist.set_label(label)
    if not behind.empty:
        ax.axvspan(read_to, lr_curve["lr"].max(), color="#000000", alpha=0.06, label="not read for the lowest loss")
    for method, lr in best_lr["candidates"].items():
        taken = method == best_lr["method"]
        label = f"{METHODS[method]}: {lr:.2g}"
        if taken:
            low, high = best_lr["band"]
            ax.axvspan(low, high, color=COLORS[method], alpha=0.15, linewidth=0)
            label += "  (taken)" if low == high else f", {low:.2g} to {high:.2g} by test  (taken)"
        ax.axvline(
            lr, color=COLORS[method], linestyle="-" if taken else "--", linewidth=2.2 if taken else 1.4, label=label
        )
    if best_lr["candidates"]:
        # diverged losses are left out of the axis limits, because they would flatten the rest of the curve
        low, high = before["raw_loss"].quantile([0.01, 0.99])
        ax.set_ylim(low - 0.15 * (high - low), high + 0.3 * (high - low))
        figure.legend(loc="outside lower center", frameon=False)
    else:
        title += ": diverged too early to read"
    ax.set(xscale="log", xlabel="learning rate", ylabel="training loss")
    ax.set_title(title, wrap=True)
    ax.grid(alpha=0.25)
    return figure
