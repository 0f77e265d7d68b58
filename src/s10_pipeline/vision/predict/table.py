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
    readable = np.array([position for position in range(len(names)) if position not in reasons], int)
    values_nk = probabilities_nk[readable]
    # stable: of classes that tie, the first, as argmax
    order_nk = np.argsort(-values_nk, axis=1, kind="stable")[:, :top_k]
    ranked_nk = np.take_along_axis(values_nk, order_nk, axis=1)
    names_nk = np.array(class_names, dtype=object)[order_nk]
    columns: dict[str, Any] = {
        "prediction": pd.array(order_nk[:, 0], dtype="Int64"),
        "prediction_name": pd.array(names_nk[:, 0], dtype="string"),
        "confidence": ranked_nk[:, 0],
    }
    for k in range(order_nk.shape[1]):
        columns[f"top_{k + 1}_name"] = pd.array(names_nk[:, k], dtype="string")
        columns[f"top_{k + 1}_confidence"] = ranked_nk[:, k]
    columns |= {f"p_{name}": values_nk[:, k] for k, name in enumerate(class_names)}
    table = pd.DataFrame(columns, index=readable).reindex(range(len(names)))
    table.insert(0, "file", list(names))
    table.insert(4, "error", pd.Series(dict(reasons), dtype="string"))
    return table


def readable_rows(predictions: pd.DataFrame, num_images: int) -> pd.DataFrame:
    """The first rows with a prediction: those that the gallery shows."""
    return predictions[predictions["error"].isna()].head(num_images)
