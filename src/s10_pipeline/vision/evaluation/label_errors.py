"""List images whose label may be wrong, by their margin: label's logit minus the largest other logit.

If a label is right, its margin grows during training. If it is wrong, all images that look like the true class push the
margin down (Pleiss et al. 2020, arXiv:2001.10528). The spread of margins of right labels is estimated from the middle
of the distribution, where wrong labels are rare (the empirical null of Efron 2004, JASA 99).
"""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import false_discovery_control, norm

from ..data.image_set import ImageSet
from .intervals import wilson
from .judge import judge_shift
from .verdict import Verdict

# Maximum false discovery rate: the expected share of images with a right label among those listed as mislabelled.
FALSE_DISCOVERIES = 0.2
# Wrong labels are "found" if over 9 images and over 0.2 % of a split have a q-value (false discovery rate) up to 0.05.
# Of a split of fewer than 1,000 images, 0.9 % with such a q-value make the verdict "unknown" instead of "not_found".
LOW_BY_CHANCE, LOW_SHARE, LOW, SMALL = 9, 0.002, 0.05, 1000
# A split's candidates for wrong labels are not counted if over 2/3 have the same label, or if over 80 % have one of two
# labels which together at most 1/3 of the test images have. The model may not have learned these classes. With planted
# wrong labels of similar classes, this dropped 3 of 30 splits (benchmarks/results/audit-2026-11-27.md).
ONE_CLASS, TWO_CLASSES, RARE = 2 / 3, 0.8, 1 / 3
# Below this validation accuracy, the model is too weak to find wrong labels, so the verdict on labels is "unknown".
LEARNED = 0.5
SPLITS = {"train": "training", "val": "validation", "test": "test"}

# Type of a function that takes an image set and row indices (N,), and returns the model's class probabilities (N, K).
Classify = Callable[[ImageSet, NDArray[np.int64]], NDArray[np.float64]]


def find_label_errors(
    train_margins: pd.DataFrame, train_images: ImageSet, test_images: ImageSet, classify: Classify
) -> pd.DataFrame:
    """List images whose label may be wrong, because their margin (label's logit minus largest other logit) is very low.

    An image is listed if its q-value (:func:`q_values`) is at most :data:`FALSE_DISCOVERIES`. A person has to check the
    list, because no model can tell a wrong label from an image that is unlike all others.

    Args:
        train_margins: one row per image, from training; each split in it is searched separately.
        classify: returns the trained model's probabilities.

    Returns:
        ``split``, ``index``, ``label_name``; ``suggested_name``, the most probable other class; the model's
        probabilities ``p_label`` and ``p_suggested``; ``margin``; ``q_value``, the expected share of right labels in
        the list that ends with this image. The most suspicious images come first.
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
    """Return the q-value of each margin (N,): the false discovery rate if all images with this or a lower margin count
    as mislabelled.

    Margins of right labels are modelled as normal around the median. Its standard deviation is estimated from the lower
    quartile, which moves little if up to a tenth of all labels are wrong. P-values become q-values as in Benjamini and
    Hochberg 1995.
    """
    lower_quartile, median = np.quantile(margins, [0.25, 0.5])
    deviation = max((median - lower_quartile) / norm.ppf(0.75), 1e-9)
    return np.asarray(false_discovery_control(norm.cdf((margins - median) / deviation)))


def judge_labels(
    candidates: pd.DataFrame, train_margins: pd.DataFrame, class_metrics: pd.DataFrame, metrics: dict[str, Any]
) -> Verdict:
    """Judge whether the data has wrong labels: more candidates for a wrong label than right labels give by chance.

    "unknown" if the model is right on fewer than half of the validation images. Not counted, and not in ``items``, are
    test images that :func:`.judge.judge_shift` found to differ, and a split where most listed images have one of one or
    two labels, because the model may not have learned these classes. ``value`` is the share of all images that is
    listed.

    Args:
        candidates: from :func:`find_label_errors`.
        train_margins: from training, one row per image (:func:`..training.margins.margin_table`).
        class_metrics: columns ``class_name`` and ``support``, the number of test images.
    """
    told, items = [], []
    support = class_metrics.set_index("class_name")["support"]
    shifted = judge_shift(metrics).verdict == "found"
    verdict: Literal["found", "not_found", "unknown"] = "not_found"
    for split, name in SPLITS.items():
        listed, n = candidates[candidates["split"] == split], int((train_margins["split"] == split).sum())
        told.append(f"{len(listed):,} of {n:,} {name} images")
        num_low = (listed["q_value"] <= LOW).sum()
        many = num_low > max(LOW_BY_CHANCE, LOW_SHARE * n)
        labels = listed["label_name"].value_counts()
        hard = None
        if len(listed) > LOW_BY_CHANCE and labels.iloc[0] > ONE_CLASS * len(listed):
            hard = labels.index[0]
        elif len(listed) > LOW_BY_CHANCE and labels.iloc[:2].sum() > TWO_CLASSES * len(listed):
            two = labels.index[:2]
            hard = " and ".join(two) if support[two].sum() <= RARE * support.sum() else None
        if hard or (shifted and split == "test"):
            known = f"mostly {hard}, which the model may not have learned" if hard else None
            told[-1] += f" ({known or 'which differ from the others'})"
            verdict = "unknown" if many and verdict == "not_found" else verdict
            continue
        verdict = "found" if many else verdict
        if num_low > LOW_BY_CHANCE * n / SMALL and verdict == "not_found":
            verdict = "unknown"
            told[-1] += " (too few images to tell, so look at the candidates)"
        items += listed[["split", "index", "label_name", "suggested_name"]].to_dict("records")
    total, n = len(candidates), len(train_margins)
    sentence = f"the labels of {', '.join(told)} score lower than other classes by more than right labels do by chance"
    if metrics["val_accuracy"] < LEARNED:
        told_of = f"the model is right on {metrics['val_accuracy']:.0%} of the validation images"
        return Verdict("label_errors", "unknown", n, f"Cannot be told, because {told_of}: {sentence}", total / n)
    if verdict == "found":
        sentence = (
            f"Found: {sentence}; if right labels vary alike, at least {1 - FALSE_DISCOVERIES:.0%} of these are wrong"
        )
    elif verdict == "unknown":
        sentence, items = f"Cannot be told: {sentence}", []
    else:
        sentence, items = f"Not found: {sentence}; so few may do so even if all labels are right", []
    return Verdict("label_errors", verdict, n, sentence, total / n, *wilson(total, n), items)
