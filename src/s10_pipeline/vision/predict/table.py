"""Build the table of predictions for the user's own images."""

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
    """Build the table ``predictions``, with the predicted class and all probabilities: one row per image file.

    Columns: ``file``; ``prediction`` (integer); ``prediction_name``; ``confidence``; ``error``, the reason why the file
    could not be read; ``top_1_name``, ``top_1_confidence`` to ``top_<k>_...``, the most probable classes; and
    ``p_<class>``, the probability of each class. If ``error`` is set, all columns but ``file`` are missing.

    Args:
        names: names of the files.
        probabilities_nk: (N, K) in [0, 1]; rows of unreadable files are ignored.
        reasons: position of an unreadable file -> reason.
        class_names: the K names, in label order.
        top_k: number of most probable classes to name, at most K.
    """
    readable = np.array([position for position in range(len(names)) if position not in reasons], int)
    values_nk = probabilities_nk[readable]
    # Use a stable sort, which puts the first of tied classes first, as argmax does.
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
    """Return the rows of the images in the gallery: the first ``num_images`` rows whose file could be read."""
    return predictions[predictions["error"].isna()].head(num_images)
