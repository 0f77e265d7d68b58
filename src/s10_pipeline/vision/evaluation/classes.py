"""Precision, recall and F1 of each class, with intervals."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix

from .intervals import wilson


def class_names(test_predictions: pd.DataFrame) -> list[str]:
    """Return the class names in label order, read from the names of the ``p_<class>`` columns."""
    return [str(column)[2:] for column in test_predictions.columns if str(column).startswith("p_")]


def probabilities(test_predictions: pd.DataFrame) -> NDArray[np.float64]:
    """Return the probabilities in the ``p_<class>`` columns as float64 (N, K)."""
    return test_predictions[[f"p_{name}" for name in class_names(test_predictions)]].to_numpy(float)


def count_confusions(test_predictions: pd.DataFrame) -> NDArray[np.int64]:
    """Return the confusion matrix (K, K): rows are true classes, columns are predicted classes."""
    labels = np.arange(len(class_names(test_predictions)))
    counts = confusion_matrix(test_predictions["label"], test_predictions["prediction"], labels=labels)
    return np.asarray(counts, np.int64)


def measure_classes(test_predictions: pd.DataFrame) -> pd.DataFrame:
    """Return the table ``class_metrics``: precision, recall and F1 of each class, one row per class in label order.

    Columns: ``class_name``; ``support``, its number of test images; ``predicted``, the number of images predicted as
    this class; ``precision``, ``recall`` (the accuracy on images of this class) and ``f1``, each with a 95 % interval
    ``<name>_low``, ``<name>_high``. A value is NaN if there are no images to compute it from.

    All intervals are Wilson's. F1 itself is not a proportion of independent trials, but it equals 2 J / (1 + J) and so
    grows with the Jaccard index J, which is one: of the images that belong to the class or are predicted as it, the
    share for which both is true. The ends of J's interval are therefore converted to F1. We use no bootstrap, because
    its interval is too narrow for an F1 near 0 or 1. In 1,500 simulations with 30 images per class and a true F1 of
    0.99, 44 % of the bootstrap intervals contained the true F1, and 98 % of the intervals computed here.
    """
    counts_kk = count_confusions(test_predictions)
    right_k, support_k, predicted_k = np.diagonal(counts_kk), counts_kk.sum(1), counts_kk.sum(0)
    table = {"class_name": class_names(test_predictions), "support": support_k, "predicted": predicted_k}
    for name, trials_k in (("precision", predicted_k), ("recall", support_k)):
        table[name] = _share(right_k, trials_k)
        table[f"{name}_low"], table[f"{name}_high"] = _interval(right_k, trials_k)
    table["f1"] = _share(2 * right_k, support_k + predicted_k)
    jaccard_2k = _interval(right_k, support_k + predicted_k - right_k)
    table["f1_low"], table["f1_high"] = 2 * jaccard_2k / (1 + jaccard_2k)
    return pd.DataFrame(table)


def _share(successes_k: NDArray[np.int64], trials_k: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.asarray(successes_k / np.where(trials_k > 0, trials_k, np.nan))


def _interval(successes_k: NDArray[np.int64], trials_k: NDArray[np.int64]) -> NDArray[np.float64]:
    ends = [wilson(k, n) if n else (np.nan, np.nan) for k, n in zip(successes_k, trials_k, strict=True)]
    return np.array(ends).T
