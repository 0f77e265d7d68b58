"""Count test images that come in groups, such as photos of one patient, as a smaller number of independent images."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, t

from .intervals import LEVEL


def effective_number(right_n: NDArray[np.bool_], groups_n: NDArray[np.int64] | None) -> float:
    """Return the number of independent images whose accuracy would be as uncertain as that of these images in groups.

    For an accuracy p, this is p (1 - p) / V, where V is the cluster-robust variance of the accuracy (Rao and Scott,
    Biometrics 48, 1992), but at most the number of images. Few groups estimate V badly, so the number is lowered by
    (z / t)^2, the squared ratio of the normal to Student's quantile (Korn and Graubard, Survey Methodology 24, 1998).
    If there is one group, or if all images are right or all wrong, V cannot be estimated, so a group counts as one
    image.

    Args:
        right_n: whether each image is classified correctly.
        groups_n: group of each image; None: the images are independent.
    """
    n, p = len(right_n), float(right_n.mean())
    members = np.arange(n) if groups_n is None else np.unique(groups_n, return_inverse=True)[1]
    excess_g = np.bincount(members, right_n - p)
    num_groups = len(excess_g)
    if num_groups in (1, n) or p in (0, 1):
        return num_groups
    variance = num_groups / (num_groups - 1) * float(excess_g @ excess_g) / n**2
    level = (1 + LEVEL) / 2
    narrowed = p * (1 - p) * float(norm.ppf(level) / t.ppf(level, num_groups - 1)) ** 2
    return min(n, narrowed / variance) if variance > 0 else n


def count_groups(split: str, right_n: NDArray[np.bool_], groups_n: NDArray[np.int64] | None) -> dict[str, float]:
    """Return the metrics ``num_<split>_groups`` and ``num_<split>_images_effective``; none if there are no groups."""
    if groups_n is None:
        return {}
    number = effective_number(right_n, groups_n)
    return {f"num_{split}_groups": len(np.unique(groups_n)), f"num_{split}_images_effective": number}


def independent_trials(metrics: dict[str, Any], split: str) -> tuple[float, float]:
    """Return (successes, trials) of a split's accuracy; with groups, fractions of its effective number of images."""
    n = metrics[f"num_{split}_images"]
    trials = metrics.get(f"num_{split}_images_effective", n)
    return round(metrics[f"{split}_accuracy"] * n) * trials / n, trials


def in_groups(metrics: dict[str, Any], *splits: str) -> str:
    """Return words that follow "images" in a sentence and tell the effective number of images; empty without groups."""
    if any(f"num_{split}_groups" not in metrics for split in splits):
        return ""
    names = ("num_{}_groups", "num_{}_images_effective")
    counts = [" and ".join(f"{metrics[name.format(split)]:,.0f}" for split in splits) for name in names]
    return f" in {counts[0]} groups that count as {counts[1]} independent images"
