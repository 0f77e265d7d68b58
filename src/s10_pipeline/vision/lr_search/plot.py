"""The range test as a figure."""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from ..figure_text import literal
from .suggestions import READINGS

LABELS = {name: reading.label for name, reading in READINGS.items()}


def plot_lr_curve(lr_curve: pd.DataFrame, best_lr: dict[str, Any], title: str) -> Figure:
    """Plot the loss over the learning rate with every suggestion; the one taken is drawn solid and named so.

    Dots are single batches. Grey is what is not read, from ``best_lr["read_to"]`` on.
    """
    title = literal(title)
    figure = Figure(figsize=(8, 5.6), dpi=120, layout="constrained")
    ax = figure.subplots()
    if lr_curve.empty:
        ax.set_axis_off()
        ax.text(0.5, 0.5, f"no range test: train.lr={best_lr['lr']:g} was given", ha="center", fontsize=16)
        ax.set_title(title)
        return figure
    read_to = best_lr.get("read_to") or float("inf")
    before, behind = lr_curve[lr_curve["lr"] < read_to], lr_curve[lr_curve["lr"] >= read_to]
    for part, dots, line in ((before, "#9aa7b8", "#222222"), (behind, "#d8d8d8", "#c4c4c4")):
        ax.plot(part["lr"], part["raw_loss"], ".", color=dots, markersize=7)
        ax.plot(part["lr"], part["loss"], color=line, linewidth=3)
    if not behind.empty:
        ax.axvspan(read_to, lr_curve["lr"].iloc[-1], color="#000000", alpha=0.06, label="not read")
    for method, lr in best_lr["candidates"].items():
        taken = method == best_lr["method"]
        ax.axvline(
            lr,
            color=READINGS[method].color,
            linestyle="-" if taken else "--",
            linewidth=3.2 if taken else 2.0,
            label=f"{LABELS[method]}: {lr:.2g}" + ("  (taken)" if taken else ""),
        )
    if best_lr["candidates"]:
        # what diverged would squeeze the valley into a line
        low, high = before["raw_loss"].quantile([0.01, 0.99])
        ax.set_ylim(low - 0.15 * (high - low), high + 0.3 * (high - low))
        figure.legend(fontsize=13, loc="outside lower center", ncols=2, frameon=False)
    else:
        title += ": diverged too early to suggest a rate"
    ax.set(xscale="log", xlabel="learning rate", ylabel="training loss", title=title)
    for text in (ax.title, ax.xaxis.label, ax.yaxis.label, *ax.get_xticklabels(), *ax.get_yticklabels()):
        text.set_fontsize(14)
    ax.grid(alpha=0.25)
    return figure
