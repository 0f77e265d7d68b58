"""Confidence intervals (95 % by default) of figures that are measured on a sample of images."""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

LEVEL = 0.95
# enough resamples for interval ends that vary only from the third digit on
_NUM_RESAMPLES = 2000
_RESAMPLES_AT_ONCE = 200


def wilson(num_successes: int, num_trials: int, level: float = LEVEL) -> tuple[float, float]:
    """Return Wilson's score interval of a proportion (Wilson 1927); (0, 1) without trials."""
    if not num_trials:
        return 0.0, 1.0
    interval = binomtest(int(num_successes), int(num_trials)).proportion_ci(level, method="wilson")
    return float(interval.low), float(interval.high)


def difference(first: tuple[int, int], second: tuple[int, int], level: float = LEVEL) -> tuple[float, float, float]:
    """Return the difference of two independent proportions, first minus second, and the ends of its interval.

    Newcombe's method 10 (Statistics in Medicine 17, 1998) combines the two Wilson intervals.

    Args:
        first, second: (successes, trials), trials > 0.
    """
    (p, (p_low, p_high)), (q, (q_low, q_high)) = ((k / n, wilson(k, n, level)) for k, n in (first, second))
    return p - q, p - q - math.hypot(p - p_low, q_high - q), p - q + math.hypot(p_high - p, q - q_low)


def bootstrap_f1(counts_kk: NDArray[np.integer], seed: int = 0) -> NDArray[np.float64]:
    """Return a percentile-bootstrap interval (Efron 1979) of each class's F1 score.

    F1 is not a proportion of independent trials, so Wilson's interval does not apply. Resampling images with
    replacement is the same as drawing the cells of the confusion matrix from a multinomial distribution, so no images
    are needed.

    Args:
        counts_kk: confusion matrix (K, K); rows are true classes.
        seed: seed of the random draws.

    Returns:
        float64 (K, 2): low and high end; NaN for a class that occurs neither as a label nor as a prediction.
    """
    rng = np.random.default_rng(seed)
    truth, prediction = np.nonzero(counts_kk)
    cells = counts_kk[truth, prediction]
    num_classes, num_images = len(counts_kk), int(cells.sum())
    of_class = np.eye(num_classes, dtype=np.int64)
    rows = []
    for _ in range(_NUM_RESAMPLES // _RESAMPLES_AT_ONCE):
        drawn = rng.multinomial(num_images, cells / num_images, size=_RESAMPLES_AT_ONCE)
        # one matrix product sums the cells of each class, for all resamples of this block
        support, predicted = drawn @ of_class[truth], drawn @ of_class[prediction]
        right = (drawn * (truth == prediction)) @ of_class[truth]
        total = support + predicted
        rows.append(np.where(total > 0, 2 * right / np.maximum(total, 1), 0.0))
    tail = 100 * (1 - LEVEL) / 2
    ends: NDArray[np.float64] = np.percentile(np.concatenate(rows), [tail, 100 - tail], axis=0).T
    ends[counts_kk.sum(0) + counts_kk.sum(1) == 0] = np.nan
    return ends
