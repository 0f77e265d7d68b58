"""Intervals of what is measured on a sample of images: 95 %, of the figure on images drawn anew."""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

LEVEL = 0.95
# enough for interval ends that are steady in the third digit
_NUM_RESAMPLES = 2000
_RESAMPLES_AT_ONCE = 200


def wilson(num_successes: int, num_trials: int, level: float = LEVEL) -> tuple[float, float]:
    """Wilson's score interval of a share (Wilson 1927); the whole of [0, 1] without trials."""
    if not num_trials:
        return 0.0, 1.0
    interval = binomtest(int(num_successes), int(num_trials)).proportion_ci(level, method="wilson")
    return float(interval.low), float(interval.high)


def difference(first: tuple[int, int], second: tuple[int, int], level: float = LEVEL) -> tuple[float, float, float]:
    """Difference of two shares of independent trials, first minus second, with the ends of its interval.

    Newcombe's method 10 (Statistics in Medicine 17, 1998), from the two Wilson intervals.

    Args:
        first, second: (successes, trials), trials > 0.
    """
    (p, (p_low, p_high)), (q, (q_low, q_high)) = ((k / n, wilson(k, n, level)) for k, n in (first, second))
    return p - q, p - q - math.hypot(p - p_low, q_high - q), p - q + math.hypot(p_high - p, q - q_low)


def bootstrap_f1(counts_kk: NDArray[np.integer], seed: int = 0) -> NDArray[np.float64]:
    """Percentile-bootstrap interval of each class's F1 score (Efron 1979), images drawn with replacement.

    F1 is no share of independent trials, so Wilson's interval does not fit it. Drawing images anew is drawing the
    cells of the confusion matrix from a multinomial distribution: it takes no pass over images.

    Args:
        counts_kk: confusion matrix (K, K), true classes down.
        seed: of the draws.

    Returns:
        float64 (K, 2): low and high; NaN for a class that is neither among labels nor among predictions.
    """
    rng = np.random.default_rng(seed)
    truth, prediction = np.nonzero(counts_kk)
    cells = counts_kk[truth, prediction]
    num_classes, num_images = len(counts_kk), int(cells.sum())
    of_class = np.eye(num_classes, dtype=np.int64)
    rows = []
    for _ in range(_NUM_RESAMPLES // _RESAMPLES_AT_ONCE):
        drawn = rng.multinomial(num_images, cells / num_images, size=_RESAMPLES_AT_ONCE)
        # sums of cells by class: one matrix product each
        support, predicted = drawn @ of_class[truth], drawn @ of_class[prediction]
        right = (drawn * (truth == prediction)) @ of_class[truth]
        total = support + predicted
        rows.append(np.where(total > 0, 2 * right / np.maximum(total, 1), 0.0))
    tail = 100 * (1 - LEVEL) / 2
    ends: NDArray[np.float64] = np.percentile(np.concatenate(rows), [tail, 100 - tail], axis=0).T
    ends[counts_kk.sum(0) + counts_kk.sum(1) == 0] = np.nan
    return ends
