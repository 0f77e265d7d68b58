"""What the report tells in figures, as plain Python values."""

import math
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support


def class_names(test_predictions: pd.DataFrame) -> list[str]:
    """In label order, from the ``p_<class>`` columns."""
    return [str(column)[2:] for column in test_predictions.columns if str(column).startswith("p_")]


def per_class(test_predictions: pd.DataFrame) -> list[dict[str, Any]]:
    """Accuracy (which of one class is its recall), precision and F1 of each class, lowest F1 first.

    A figure without images to compute it from is None. Computed by scikit-learn.
    """
    names = class_names(test_predictions)
    precision_k, recall_k, f1_k, support_k = precision_recall_fscore_support(
        test_predictions["label"],
        test_predictions["prediction"],
        labels=np.arange(len(names)),
        zero_division=np.nan,
    )
    rows = [
        {"name": n, "accuracy": plain(r), "precision": plain(p), "recall": plain(r), "f1": plain(f), "support": int(s)}
        for n, p, r, f, s in zip(names, precision_k, recall_k, f1_k, support_k, strict=True)
    ]
    return sorted(rows, key=lambda row: 2.0 if row["f1"] is None else row["f1"])


def most_confused(test_predictions: pd.DataFrame, num_pairs: int = 10) -> list[dict[str, Any]]:
    """Pairs (truth, prediction) by how many images are mistaken so; ``share`` is of the true class."""
    names = class_names(test_predictions)
    counts_kk = confusion_matrix(
        test_predictions["label"], test_predictions["prediction"], labels=np.arange(len(names))
    )
    support_k = counts_kk.sum(axis=1)
    np.fill_diagonal(counts_kk, 0)
    pairs = []
    for position in np.argsort(-counts_kk, axis=None, kind="stable")[:num_pairs]:
        truth, prediction = divmod(int(position), len(names))
        count = int(counts_kk[truth, prediction])
        if count:
            share = count / int(support_k[truth])
            pairs.append({"truth": names[truth], "prediction": names[prediction], "count": count, "share": share})
    return pairs


def training_summary(history: pd.DataFrame, timing: pd.DataFrame) -> dict[str, Any]:
    """Epochs, learning rates, final figures and speed; fractions, seconds, images a second."""
    last, best = history.iloc[-1], history.iloc[int(history["val_accuracy"].fillna(-1).argmax())]
    seconds = timing["epoch_seconds"]
    summary: dict[str, Any] = plain(
        {
            "num_epochs": int(last["epoch"]),
            "highest_lr": history["lr"].max(),
            "final_lr": last["lr"],
            "lr_dropped_after_epochs": history.loc[history["lr_dropped"].astype(bool), "epoch"].astype(int).tolist(),
            "train_accuracy": last["train_accuracy"],
            "val_accuracy": last["val_accuracy"],
            "test_accuracy": last["test_accuracy"],
            "best_val_accuracy": best["val_accuracy"],
            "best_val_epoch": int(best["epoch"]),
            "total_seconds": seconds.sum(),
            "images_per_second": np.average(timing["images_per_second"], weights=seconds) if seconds.sum() else None,
            "data_wait_fraction": np.average(timing["data_wait_fraction"], weights=seconds) if seconds.sum() else None,
        }
    )
    return summary


def plain(value: Any) -> Any:
    """``value`` as JSON knows it: NumPy's numbers become Python's, NaN and infinity become None."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
