"""Confidence intervals, 95 % by default, of proportions that are measured on a sample of images."""

import math

from scipy.stats import binomtest

LEVEL = 0.95


def wilson(num_successes: int, num_trials: int, level: float = LEVEL) -> tuple[float, float]:
    """Return Wilson's score interval of a proportion (Wilson 1927); (0, 1) without trials."""
    if not num_trials:
        return 0.0, 1.0
    interval = binomtest(int(num_successes), int(num_trials)).proportion_ci(level, method="wilson")
    return float(interval.low), float(interval.high)


def difference(first: tuple[int, int], second: tuple[int, int], level: float = LEVEL) -> tuple[float, float, float]:
    """Return the difference of two independent proportions (first minus second), and both ends of its interval.

    Newcombe's method 10 (Statistics in Medicine 17, 1998) combines the two Wilson intervals; ``level`` is 95 % by
    default.

    Args:
        first, second: (successes, trials), trials > 0.
    """
    (p, (p_low, p_high)), (q, (q_low, q_high)) = ((k / n, wilson(k, n, level)) for k, n in (first, second))
    return p - q, p - q - math.hypot(p - p_low, q_high - q), p - q + math.hypot(p_high - p, q - q_low)
