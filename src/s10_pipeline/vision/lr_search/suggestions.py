"""Learning rates read off a range test's curve."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..errors import UserError

# torch-lr-finder leaves these out of its own suggestion too: the first losses are noise, the last ones diverge.
SKIP_START, SKIP_END = 10, 5
MIN_POINTS = SKIP_START + SKIP_END + 2

# Where the smoothed loss falls by less than this share, the suggestions may be readings of noise: at rates that teach
# nothing it fell by 0.004 to 0.016 (batches of 128 to 32 drawn images).
MIN_FALL = 0.02

# Beyond this ratio, an order of magnitude, the suggestions contradict each other: a person should look at the curve.
MAX_SPREAD = 10.0

Floats = NDArray[np.float64]


def suggest_learning_rates(lr_curve: pd.DataFrame, start_lr: float) -> dict[str, float]:
    """Method -> learning rate.

    - ``steepest``: where the loss falls fastest over the logarithm of the rate, up to its minimum (torch-lr-finder's
      suggestion, which also looks behind the minimum);
    - ``valley``: halfway through the longest stretch of falling loss (fastai's default);
    - ``minimum_tenth``: a tenth of the rate with the lowest loss (Howard and Gugger 2020, chapter 5);
    - ``minimum``: the rate with the lowest loss, which is already at the edge of divergence.

    Args:
        lr_curve: columns ``lr`` (ascending) and ``loss`` (smoothed, finite), a row an iteration.
        start_lr: the first rate, for the error.

    Raises:
        UserError: fewer than 17 points: the loss diverged at once.
    """
    lr, loss = lr_curve["lr"].to_numpy(float), lr_curve["loss"].to_numpy(float)
    if len(lr) < MIN_POINTS:
        raise UserError(
            f"lr_search.start_lr={start_lr:g}: the loss diverged after {len(lr)} iterations, too few to read a "
            f"learning rate from ({MIN_POINTS} are needed); lower start_lr, or give train.lr"
        )
    inner = slice(SKIP_START, -SKIP_END)
    lowest = int(np.argmin(loss[inner]))
    minimum = float(lr[inner][lowest])
    return {
        "steepest": float(lr[inner][np.argmin(np.gradient(loss[inner])[: lowest + 1])]),
        "valley": _valley(lr[inner], loss[inner]),
        "minimum_tenth": minimum / 10,
        "minimum": minimum,
    }


def fall_of(lr_curve: pd.DataFrame) -> float:
    """By what share the loss fell to its minimum where :func:`suggest_learning_rates` looks: 0.2 from 2.3 to 1.84."""
    loss = lr_curve["loss"].to_numpy(float)[SKIP_START:-SKIP_END]
    lowest = int(np.argmin(loss))
    return float(1 - loss[lowest] / loss[: lowest + 1].max())


def spread_of(candidates: dict[str, float]) -> float:
    """Largest / smallest suggestion, ``minimum`` apart: it is ten times ``minimum_tenth`` whatever the curve."""
    rates = [lr for method, lr in candidates.items() if method != "minimum"]
    return max(rates) / min(rates)


def _valley(lr: Floats, loss: Floats) -> float:
    """Halfway, in iterations, through the longest decreasing subsequence of losses."""
    start, end = _longest_decreasing_run(loss)
    return float(lr[start + (end - start) // 2])


def _longest_decreasing_run(loss: Floats) -> tuple[int, int]:
    """First and last index of the longest (not necessarily contiguous) decreasing subsequence."""
    length = np.ones(len(loss), int)
    start = np.arange(len(loss))
    for i in range(1, len(loss)):
        behind = np.where(loss[:i] > loss[i], length[:i], 0)
        # of equally long ones the latest, which has the latest start: what lies before the fall is flat
        best = i - 1 - int(np.argmax(behind[::-1]))
        if behind[best]:
            length[i], start[i] = behind[best] + 1, start[best]
    end = int(np.argmax(length))
    return int(start[end]), end
