"""Draw the confusion matrix."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ..figure_text import literal
from .classes import class_names, count_confusions

# With more classes, cells are too small for numbers, so only the classes with the largest confusions are drawn.
MAX_CLASSES = 30
CELL, NUMBER_ON_FULL_CELL = "#08519c", "#fafafa"


def plot_confusion_matrix(test_predictions: pd.DataFrame, title: str) -> Figure:
    """Draw the confusion matrix: rows are true classes, columns are predicted classes, cells show counts.

    Each cell's opacity is its share of the true class. Of more than :data:`MAX_CLASSES` classes, only those with the
    largest confusions are drawn, in label order.
    """
    names, title = class_names(test_predictions), literal(title)
    counts = count_confusions(test_predictions)
    rates = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    mistakes = counts * (1 - np.eye(len(names), dtype=int))
    largest_first = np.argsort(-mistakes, axis=None, kind="stable")
    pairs = np.column_stack(np.unravel_index(largest_first, mistakes.shape))
    shown = np.sort(pd.unique(pairs.ravel())[:MAX_CLASSES])
    k = len(shown)
    if k < len(names):
        title += f": the {k} most confused of {len(names)} classes"
    side = max(4.0, 0.33 * k + 1.9)
    figure = Figure(figsize=(side, side * 0.95), dpi=200, layout="constrained")
    ax = figure.subplots()
    short = [literal(names[label], max_length=14) for label in shown]
    ax.set_xticks(range(k), short, rotation=45, ha="right", rotation_mode="anchor")
    ax.set_yticks(range(k), short)
    ax.set_title(title, wrap=True)
    ax.set(xlabel="prediction", ylabel="ground truth", aspect="equal")
    ax.set(xlim=(-0.5, k - 0.5), ylim=(k - 0.5, -0.5))
    for i, j in np.argwhere(counts[np.ix_(shown, shown)]):
        count, rate = counts[shown[i], shown[j]], rates[shown[i], shown[j]]
        opacity = 0.1 + 0.9 * rate
        ax.add_patch(Rectangle((j - 0.5, i - 0.5), 1, 1, facecolor=CELL, alpha=opacity))
        color = NUMBER_ON_FULL_CELL if opacity > 0.75 else "black"
        ax.text(j, i, str(count), ha="center", va="center", color=color)
    return figure
