"""Draw training curves."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from ..figure_text import literal

COLORS = {"train": "#7f7f7f", "val": "#0072B2", "test": "#D55E00"}
LABELS = {"train": "train (augmented)", "val": "validation", "test": "test"}


def plot_accuracy_curves(history: pd.DataFrame, title: str) -> Figure:
    """Draw train, validation and test accuracy over epochs; vertical lines mark drops of the learning rate."""
    figure, ax = _curves(history, "accuracy", "{:.2%}", title)
    ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    ax.set_ylabel("accuracy")
    ax.legend()
    return figure


def plot_loss_curves(history: pd.DataFrame, title: str) -> Figure:
    """Draw train, validation and test loss (mean cross-entropy per image, in nats) over epochs, with the same marks."""
    figure, ax = _curves(history, "loss", "{:.3f}", title)
    ax.set_ylabel("cross-entropy per image")
    ax.legend()
    return figure


def _curves(history: pd.DataFrame, what: str, number: str, title: str) -> tuple[Figure, Axes]:
    title = literal(title)
    figure = Figure(figsize=(5.8, 3.5), dpi=200, layout="constrained")
    ax = figure.subplots()
    # the test curve is drawn last, so that it is on top: people look for it first
    for part in LABELS:
        marker = "o" if len(history) < 20 else None
        values = history[f"{part}_{what}"]
        # the legend leaves out the final test accuracy: it is measured in training's precision here (such as bf16), so
        # it may differ slightly from the one that the evaluation stage measures in fp32
        label = f"{LABELS[part]}: {number.format(values.iloc[-1])} at the end" if part != "test" else LABELS[part]
        ax.plot(history["epoch"], values, color=COLORS[part], marker=marker, markersize=4, label=label)
    _mark_drops(ax, history)
    ax.set_xlabel("epoch")
    ax.set_title(title, pad=18, wrap=True)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.grid(alpha=0.25)
    return figure, ax


def _mark_drops(ax: Axes, history: pd.DataFrame) -> None:
    """Draw a vertical line, labelled with the new rate, after each epoch at whose end the learning rate dropped."""
    # a drop after the last epoch had no effect, so it is not drawn
    for i in np.flatnonzero((history["lr_after"] < history["lr"]).to_numpy()[:-1]):
        x = float(history["epoch"].iloc[i]) + 0.5
        ax.axvline(x, color="#009E73", linestyle=":", linewidth=1.4)
        # above the axes, because inside them the text might cover a curve
        ax.annotate(
            f"lr {history['lr_after'].iloc[i]:.2g}",
            (x, 1.01),
            xycoords=("data", "axes fraction"),
            ha="center",
            va="bottom",
            color="#00694c",
        )
