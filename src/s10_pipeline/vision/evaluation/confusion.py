"""Draw the confusion matrix."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ..figure_text import literal
from .classes import class_names, count_confusions

# With more classes than this, cells are too small to print numbers in.
MAX_CLASSES_WITH_NUMBERS = 20


def plot_confusion_matrix(test_predictions: pd.DataFrame, title: str) -> Figure:
    """Draw the confusion matrix: rows are true classes, columns are predicted classes.

    Each cell's colour is its share of the true class. Up to 20 classes, cells show count and share as numbers.
    """
    names, title = class_names(test_predictions), literal(title)
    short = [literal(name, max_length=14) for name in names]
    k = len(names)
    counts = count_confusions(test_predictions)
    rates = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    numbered = k <= MAX_CLASSES_WITH_NUMBERS
    side = min(max(4.5, 0.66 * k + 2.2), 14) if numbered else 10
    figure = Figure(figsize=(side, side * 0.92), dpi=120, layout="constrained")
    ax = figure.subplots()
    image = ax.imshow(rates, cmap="Blues", vmin=0, vmax=1)
    step = 1 if k <= 60 else k // 30
    size = 9 if numbered else 6
    slant: dict[str, Any] = {"rotation": 45, "ha": "right"} if numbered else {"rotation": 90, "ha": "center"}
    ax.set_xticks(range(0, k, step), short[::step], fontsize=size, **slant)
    ax.set_yticks(range(0, k, step), short[::step], fontsize=size)
    ax.set(xlabel="prediction", ylabel="ground truth", title=title)
    for i, j in np.ndindex(k, k) if numbered else ():
        if counts[i, j]:
            color = "white" if rates[i, j] > 0.5 else "#222222"
            ax.text(j, i - 0.14, str(counts[i, j]), ha="center", va="center", fontsize=8, color=color)
            ax.text(j, i + 0.22, f"{rates[i, j]:.1%}", ha="center", va="center", fontsize=5.5, color=color)
    figure.colorbar(image, ax=ax, label="share of the true class", shrink=0.8)
    return figure
