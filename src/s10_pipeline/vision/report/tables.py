"""What the report tells in figures, as plain Python values."""

import math
from typing import Any

import numpy as np
import pandas as pd

from ..evaluation.classes import class_names, count_confusions


def per_class(class_metrics: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of ``class_metrics``, lowest F1 first; a figure without images to compute it from is None."""
    rows = to_jsonable(class_metrics.to_dict("records"))
    return sorted(rows, key=lambda row: 2.0 if row["f1"] is None else row["f1"])


def most_confused(test_predictions: pd.DataFrame, num_pairs: int = 10) -> list[dict[str, Any]]:
    """Pairs (truth, prediction) by how many images are mistaken so; ``share`` is of the true class."""
    names = class_names(test_predictions)
    counts_kk = count_confusions(test_predictions)
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
    """Epochs, learning rates, final figures and speed; fractions, seconds, images per second.

    ``total_seconds`` are those of the passes over training images: what measuring and checkpoints took is not noted.
    """
    last, best = history.iloc[-1], history.iloc[int(history["val_accuracy"].fillna(-1).argmax())]
    seconds = timing["epoch_seconds"]
    summary: dict[str, Any] = to_jsonable(
        {
            "num_epochs": int(last["epoch"]),
            "highest_lr": history["lr"].max(),
            "final_lr": last["lr"],
            "lr_dropped_after_epochs": history.loc[history["lr_dropped"].astype(bool), "epoch"].astype(int).tolist(),
            "train_accuracy": last["train_accuracy"],
            "val_accuracy": last["val_accuracy"],
            "best_val_accuracy": best["val_accuracy"],
            "best_val_epoch": int(best["epoch"]),
            "total_seconds": seconds.sum(),
            "images_per_second": np.average(timing["images_per_second"], weights=seconds) if seconds.sum() else None,
            "data_wait_fraction": np.average(timing["data_wait_fraction"], weights=seconds) if seconds.sum() else None,
        }
    )
    return summary


def epochs(history: pd.DataFrame, timing: pd.DataFrame) -> list[dict[str, Any]]:
    """One row per epoch: what was measured, and how long it took."""
    rows: list[dict[str, Any]] = to_jsonable(history.merge(timing, on="epoch", how="left").to_dict("records"))
    return rows


def to_jsonable(value: Any) -> Any:
    """``value`` as JSON knows it: NumPy's numbers become Python's, NaN and infinity become None."""
    if isinstance(value, dict):
        return {str(key): to_jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_jsonable(item) for item in value]
    if isinstance(value, np.ndarray):
        return to_jsonable(value.tolist())
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
