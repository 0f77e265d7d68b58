"""Precision, recall and F1 of each class, with intervals."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix

from .intervals import bootstrap_f1, wilson


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
    """Return the table ``class_metrics``: one row per class, in label order.

    Columns: ``class_name``; ``support``, its number of test images; ``predicted``, the number of images predicted as
    this class; ``precision``, ``recall`` (the accuracy on images of this class) and ``f1``, each with a 95 % interval
    ``<name>_low``, ``<name>_high``. Intervals are Wilson's for precision and recall, bootstrap intervals for F1. A
    value is NaN if there are no images to compute it from.
    """
    counts_kk = count_confusions(test_predictions)
    right_k, support_k, predicted_k = np.diagonal(counts_kk), counts_kk.sum(1), counts_kk.sum(0)
    table = {"class_name": class_names(test_predictions), "support": support_k, "predicted": predicted_k}
    for name, trials_k in (("precision", predicted_k), ("recall", support_k)):
        ends = np.array([wilson(r, n) for r, n in zip(right_k, trials_k, strict=True)])
        ends[trials_k == 0] = np.nan
        table[name] = np.divide(right_k, trials_k, out=np.full(len(trials_k), np.nan), where=trials_k > 0)
        table[f"{name}_low"], table[f"{name}_high"] = ends.T
    total_k = support_k + predicted_k
    table["f1"] = np.divide(2 * right_k, total_k, out=np.full(len(total_k), np.nan), where=total_k > 0)
    table["f1_low"], table["f1_high"] = bootstrap_f1(counts_kk).T
    return pd.DataFrame(table)
