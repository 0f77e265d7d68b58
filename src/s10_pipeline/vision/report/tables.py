"""Compute the numbers of the report's tables, as plain Python values."""

from typing import Any

import numpy as np
import pandas as pd
from pydantic_core import to_jsonable_python

from ..evaluation.classes import class_names


def most_confused(test_predictions: pd.DataFrame, num_pairs: int = 10) -> list[dict[str, Any]]:
    """Return the pairs (true class, predicted class) with the most mistakes.

    ``share`` is the number of these mistakes divided by the number of images of the true class.
    """
    names, support_k = class_names(test_predictions), test_predictions["label"].value_counts()
    mistakes = test_predictions[test_predictions["label"] != test_predictions["prediction"]]
    counts = mistakes.groupby(["label", "prediction"]).size().sort_values(ascending=False, kind="stable")
    return [
        {"truth": names[truth], "prediction": names[prediction], "count": count, "share": count / support_k[truth]}
        for truth, prediction, count in counts.head(num_pairs).reset_index().itertuples(index=False)
    ]


def training_summary(history: pd.DataFrame, timing: pd.DataFrame) -> dict[str, Any]:
    """Summarise a training: number of epochs, learning rates, training and validation accuracy, time and speed.

    ``total_seconds`` covers the passes over training images only, not evaluation and checkpoints.
    """
    last, best = history.iloc[-1], history.iloc[int(history["val_accuracy"].fillna(-1).argmax())]
    seconds = timing["epoch_seconds"]
    before_last = history.iloc[:-1]  # a drop after the last epoch had no effect, so it is left out
    return {
        "num_epochs": last["epoch"],
        "highest_lr": history["lr"].max(),
        "final_lr": last["lr"],
        "lr_dropped_after_epochs": before_last.loc[before_last["lr_dropped"].astype(bool), "epoch"].tolist(),
        "train_accuracy": last["train_accuracy"],
        "val_accuracy": last["val_accuracy"],
        "best_val_accuracy": best["val_accuracy"],
        "best_val_epoch": best["epoch"],
        "total_seconds": seconds.sum(),
        "images_per_second": np.average(timing["images_per_second"], weights=seconds) if seconds.sum() else None,
        "data_wait_fraction": np.average(timing["data_wait_fraction"], weights=seconds) if seconds.sum() else None,
    }


def to_jsonable(value: Any) -> Any:
    """Return ``value`` in types that JSON has: NumPy numbers become Python numbers, NaN and infinity become None."""
    return to_jsonable_python(value, inf_nan_mode="null", fallback=lambda number: number.item())
