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
    """Draw train, validation and test loss over epochs; vertical lines mark drops of the learning rate.

    Losses are mean cross-entropies per image, in nats.
    """
    figure, ax = _curves(history, "loss", "{:.3f}", title)
    ax.set_ylabel("cross-entropy per image")
    ax.legend()
    return figure


def _curves(history: pd.DataFrame, what: str, number: str, title: str) -> tuple[Figure, Axes]:
    title = literal(title)
    figure = Figure(figsize=(5.8, 3.5), dpi=200, layout="constrained")
    ax = figure.subplots()
    # Draw the test curve last, so that it is on top, because people look for it first.
    for part in LABELS:
        marker = "o" if len(history) < 20 else None
        values = history[f"{part}_{what}"]
        # Leave the final test accuracy out of the legend, because it was measured in training's precision (such as
        # bf16). The evaluation stage measures test accuracy in fp32, and its result may differ slightly.
        label = f"{LABELS[part]}: {number.format(values.iloc[-1])} at the end" if part != "test" else LABELS[part]
        ax.plot(history["epoch"], values, color=COLORS[part], marker=marker, markersize=4, label=label)
    _mark_drops(ax, history)
    ax.set_xlabel("epoch")
    ax.set_title(title, pad=18, wrap=True)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.grid(alpha=0.25)
    return figure, ax


def _mark_drops(ax: Axes, history: pd.DataFrame) -> None:
    """Draw a vertical line after each epoch that ended with a drop of the learning rate, labelled with the new rate."""
    # Do not draw a drop of the learning rate after the last epoch, because it had no effect.
    for i in np.flatnonzero((history["lr_after"] < history["lr"]).to_numpy()[:-1]):
        x = float(history["epoch"].iloc[i]) + 0.5
        ax.axvline(x, color="#009E73", linestyle=":", linewidth=1.4)
        # Write the new rate above the axes, because inside them the text might cover a curve.
        ax.annotate(
            f"lr {history['lr_after'].iloc[i]:.2g}",
            (x, 1.01),
            xycoords=("data", "axes fraction"),
            ha="center",
            va="bottom",
            color="#00694c",
        )
