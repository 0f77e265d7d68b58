"""The range test as a figure."""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from ..figure_text import literal
from .suggestions import READINGS

LABELS = {name: reading.label for name, reading in READINGS.items()}


def plot_lr_curve(lr_curve: pd.DataFrame, best_lr: dict[str, Any], title: str) -> Figure:
    """Loss over learning rate with every suggestion; the one taken is drawn solid and named so."""
    figure = Figure(figsize=(8, 4.8), dpi=120, layout="constrained")
    ax = figure.subplots()
    ax.plot(lr_curve["lr"], lr_curve["loss"], color="#444444", linewidth=1.6)
    for method, lr in best_lr["candidates"].items():
        taken = method == best_lr["method"]
        ax.axvline(
            lr,
            color=READINGS[method].color,
            linestyle="-" if taken else "--",
            linewidth=2.4 if taken else 1.4,
            label=f"{LABELS[method]}: {lr:.2g}" + ("  (taken)" if taken else ""),
        )
    if best_lr["candidates"]:
        # a diverging end would squeeze the valley into a line
        low, high = lr_curve["loss"].min(), lr_curve["loss"].iloc[: max(10, len(lr_curve) // 2)].max()
        ax.set_ylim(low - 0.1 * (high - low), high + 0.35 * (high - low))
        ax.legend(fontsize=9)
    else:
        title += ": diverged too early to suggest a rate"
    ax.set(xscale="log", xlabel="learning rate", ylabel="training loss (exponential mean)", title=literal(title))
    ax.grid(alpha=0.25)
    return figure
