"""Confidence intervals, 95 % by default, of proportions that are measured on a sample of images."""

import math

from scipy.special import ndtri

LEVEL = 0.95


def wilson(num_successes: float, num_trials: float, level: float = LEVEL) -> tuple[float, float]:
    """Return Wilson's score interval of a proportion (Wilson 1927); (0, 1) without trials.

    Both numbers may be fractions, such as an effective number of images (:func:`.groups.effective_number`).
    """
    if not num_trials:
        return 0.0, 1.0
    n, p, z = float(num_trials), float(num_successes) / float(num_trials), float(ndtri(0.5 + 0.5 * level))
    centre = (2 * n * p + z**2) / (2 * (n + z**2))
    half = z / (2 * (n + z**2)) * math.sqrt(4 * n * p * (1 - p) + z**2)
    return centre - half if p > 0 else 0.0, centre + half if p < 1 else 1.0


def difference(
    first: tuple[float, float], second: tuple[float, float], level: float = LEVEL
) -> tuple[float, float, float]:
    """Return the difference of two independent proportions (first minus second), and both ends of its interval.

    Newcombe's method 10 (Statistics in Medicine 17, 1998) combines the two Wilson intervals; ``level`` is 95 % by
    default.

    Args:
        first, second: (successes, trials), trials > 0.
    """
    (p, (p_low, p_high)), (q, (q_low, q_high)) = ((k / n, wilson(k, n, level)) for k, n in (first, second))
    return p - q, p - q - math.hypot(p - p_low, q_high - q), p - q + math.hypot(p_high - p, q - q_low)
