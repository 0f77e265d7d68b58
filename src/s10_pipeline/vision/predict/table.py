"""The table of predictions."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray


def prediction_table(
    names: Sequence[str],
    probabilities_nk: NDArray[np.float64],
    reasons: Mapping[int, str],
    class_names: Sequence[str],
    top_k: int,
) -> pd.DataFrame:
    """``predictions``: one row per file.

    Columns: ``file``, ``prediction`` (integer), ``prediction_name``, ``confidence``, ``error``: why the file could not
    be read, ``top_1_name``, ``top_1_confidence`` to ``top_<k>_...``: the likeliest classes, and ``p_<class>`` for each
    class. Either ``error`` is missing in a row, or all but ``file`` and ``error`` are.

    Args:
        names: of the files.
        probabilities_nk: (N, K) in [0, 1]; rows of unreadable files are not looked at.
        reasons: position of an unreadable file -> why.
        class_names: K of them, in label order.
        top_k: of K or more, K.
    """
    readable = np.array([position not in reasons for position in range(len(names))], bool)
    values_nk = np.where(readable[:, None], probabilities_nk, 0)
    # stable: of classes that tie, the first, as argmax
    order_nk = np.argsort(-values_nk, axis=1, kind="stable")[:, :top_k]
    labels = np.array([*class_names, pd.NA], dtype=object)

    def names_of(classes: NDArray[np.int64]) -> Any:
        return pd.array(labels[np.where(readable, classes, -1)], dtype="string")

    def probability_of(classes: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.where(readable, values_nk[np.arange(len(names)), classes], np.nan)

    best = order_nk[:, 0]
    columns: dict[str, Any] = {
        "file": list(names),
        "prediction": pd.arrays.IntegerArray(best.astype(np.int64), mask=~readable),
        "prediction_name": names_of(best),
        "confidence": probability_of(best),
        "error": pd.array([reasons.get(position, pd.NA) for position in range(len(names))], dtype="string"),
    }
    for rank, classes in enumerate(order_nk.T, 1):
        columns |= {f"top_{rank}_name": names_of(classes), f"top_{rank}_confidence": probability_of(classes)}
    columns |= {f"p_{name}": np.where(readable, values_nk[:, k], np.nan) for k, name in enumerate(class_names)}
    return pd.DataFrame(columns)


def readable_rows(predictions: pd.DataFrame, num_images: int) -> pd.DataFrame:
    """The first rows with a prediction: those that the gallery shows."""
    return predictions[predictions["error"].isna()].head(num_images)
