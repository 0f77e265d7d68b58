"""Images whose label may be wrong: the training pulls their labels back further than chance explains.

A right label leads the other classes by a margin that grows with the epochs; a wrong one is pulled back by all images
that look like the true class (Pleiss et al. 2020, arXiv:2001.10528). How far right labels scatter is estimated from the
middle of the margins, which few wrong ones reach (the empirical null of Efron 2004, JASA 99).
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import false_discovery_control, norm

from ..data.image_set import ImageSet

# Of the labels that are listed, at most this share is expected to be right.
FALSE_DISCOVERIES = 0.2

# Probabilities (N, K) of the images at these rows.
Classify = Callable[[ImageSet, NDArray[np.int64]], NDArray[np.float64]]


def find_label_errors(
    train_margins: pd.DataFrame, train_images: ImageSet, test_images: ImageSet, classify: Classify
) -> pd.DataFrame:
    """List the images whose margin is lower than the scatter of right labels explains.

    A person has to look, because no model can tell a wrong label from an image that is unlike all others.

    Args:
        train_margins: as training wrote it; each of its splits is searched by itself.
        classify: the trained model.

    Returns:
        ``split``, ``index``, ``label_name``, ``suggested_name`` of the most probable other class, the model's
        probabilities ``p_label`` and ``p_suggested``, ``margin``, and ``q_value``: of the list down to this image, so
        large a share is expected to be right. The most suspicious come first.
    """
    names = np.array(train_images.class_names, dtype=object)
    parts = []
    for split, of_split in train_margins.groupby("split", sort=False):
        judged = of_split.assign(q_value=q_values(of_split["margin"].to_numpy(np.float64)))
        listed = judged[judged["q_value"] <= FALSE_DISCOVERIES]
        images, rows = test_images if split == "test" else train_images, listed["index"].to_numpy()
        labels, each = images.labels[rows], np.arange(len(rows))
        p_nk = classify(images, rows) if len(rows) else np.zeros((0, len(names)))
        others_nk = np.where(np.arange(len(names)) == labels[:, None], -1.0, p_nk)
        suggested = others_nk.argmax(1)
        parts.append(
            listed.assign(
                label_name=names[labels],
                suggested_name=names[suggested],
                p_label=p_nk[each, labels],
                p_suggested=p_nk[each, suggested],
            )
        )
    columns = ["split", "index", "label_name", "suggested_name", "p_label", "p_suggested", "margin", "q_value"]
    return pd.concat(parts).sort_values("q_value", kind="stable", ignore_index=True)[columns]


def q_values(margins: NDArray[np.float64]) -> NDArray[np.float64]:
    """For each margin (N,), which share of those as low or lower is expected by chance (Benjamini and Hochberg 1995).

    By chance margins are normal around the median, with the standard deviation of their left half.
    """
    median, one_below = np.quantile(margins, [0.5, norm.cdf(-1)])
    return np.asarray(false_discovery_control(norm.cdf((margins - median) / max(median - one_below, 1e-9))))
