"""Test images whose label may be wrong, judged by the model's own probabilities: candidates, no verdicts."""

import numpy as np
import pandas as pd

from .classes import class_names

COLUMNS = ("index", "label_name", "suggested_name", "p_label", "p_suggested", "margin")


def find_label_errors(test_predictions: pd.DataFrame) -> pd.DataFrame:
    """Confident learning (Northcutt et al. 2021, arXiv:1911.00068), ranked by normalised margin.

    A class's threshold is the mean probability that the model gives it on images of that label. An image is a
    candidate where another class reaches its own threshold, and does so with more probability than the label. The
    model never saw these images in training, as the method asks. It cannot tell a wrong label from its own mistake:
    a person has to look.

    Args:
        test_predictions: as written by ``evaluate``.

    Returns:
        Columns :data:`COLUMNS`: ``index`` into the test images, ``margin`` = ``p_label - p_suggested``, the lowest
        (most suspicious) first.
    """
    names = class_names(test_predictions)
    labels = test_predictions["label"].to_numpy()
    p_nk = test_predictions[[f"p_{name}" for name in names]].to_numpy(float)
    # a class without images has no threshold, and nothing can be suspected of belonging to it
    thresholds_k = np.array([p_nk[labels == k, k].mean() if (labels == k).any() else np.inf for k in range(len(names))])
    confident_nk = np.where(p_nk >= thresholds_k, p_nk, -1.0)
    rows = np.arange(len(labels))
    p_label = p_nk[rows, labels]
    confident_nk[rows, labels] = -1.0
    suggested = confident_nk.argmax(1)
    p_suggested = confident_nk[rows, suggested]
    chosen = np.flatnonzero((p_suggested > 0) & (p_suggested > p_label))
    found = pd.DataFrame(
        {
            "index": test_predictions["index"].to_numpy()[chosen],
            "label_name": np.array(names, dtype=object)[labels[chosen]],
            "suggested_name": np.array(names, dtype=object)[suggested[chosen]],
            "p_label": p_label[chosen],
            "p_suggested": p_suggested[chosen],
            "margin": (p_label - p_suggested)[chosen],
        },
        columns=list(COLUMNS),
    )
    return found.sort_values("margin", kind="stable", ignore_index=True)
