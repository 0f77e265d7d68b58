"""Learning rates read off a range test's curve."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..errors import UserError
from .curve import SKIP_START, Floats

# Fewer points before the loss diverges are too few to read a rate from.
MIN_POINTS = SKIP_START + 7

# Where the smoothed loss falls by less than this share, the suggestions may be readings of noise: at rates that teach
# nothing it fell by 0.004 to 0.016 (batches of 128 to 32 drawn images).
MIN_FALL = 0.02


@dataclass(frozen=True)
class Reading:
    """One way to read a learning rate off the curve.

    Attributes:
        label: its name in the figure and the report.
        color: of its line in the figure.
        read: (lr, smoothed loss) -> learning rate, without the ends of the curve and what follows a divergence.
    """

    label: str
    color: str
    read: Callable[[Floats, Floats], float]


def suggest_learning_rates(lr_curve: pd.DataFrame, start_lr: float) -> dict[str, float]:
    """Return each reading of :data:`READINGS` with its learning rate.

    Args:
        lr_curve: columns ``lr`` (ascending) and ``loss`` (smoothed, finite), one row per iteration before the loss
            first diverges (:func:`.curve.num_readable`).
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
    return {name: reading.read(lr[SKIP_START:], loss[SKIP_START:]) for name, reading in READINGS.items()}


def fall_of(lr_curve: pd.DataFrame) -> tuple[float, float]:
    """Return the highest and the lowest loss of the fall to the minimum that :func:`suggest_learning_rates` sees."""
    loss = lr_curve["loss"].to_numpy(float)[SKIP_START:]
    lowest = int(np.argmin(loss))
    return float(loss[: lowest + 1].max()), float(loss[lowest])


def _steepest(lr: Floats, loss: Floats) -> float:
    """Where the loss falls fastest over the logarithm of the rate, up to its minimum.

    It is torch-lr-finder's suggestion, which also looks behind the minimum.
    """
    return float(lr[np.argmin(np.gradient(loss)[: int(np.argmin(loss)) + 1])])


def _valley(lr: Floats, loss: Floats) -> float:
    """Halfway, in iterations, through the longest decreasing subsequence of losses (fastai's default)."""
    start, end = _longest_decreasing_run(loss)
    return float(lr[start + (end - start) // 2])


def _minimum(lr: Floats, loss: Floats) -> float:
    """The rate with the lowest loss, which is already at the edge of divergence."""
    return float(lr[np.argmin(loss)])


def _minimum_tenth(lr: Floats, loss: Floats) -> float:
    """A tenth of the rate with the lowest loss (Howard and Gugger 2020, chapter 5)."""
    return _minimum(lr, loss) / 10


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


# Value of ``lr_search.method`` -> how it reads the curve.
READINGS = {
    "steepest": Reading("steepest gradient", "#0072B2", _steepest),
    "valley": Reading("valley", "#009E73", _valley),
    "minimum_tenth": Reading("minimum / 10", "#E69F00", _minimum_tenth),
    "minimum": Reading("minimum (as in 2020)", "#D55E00", _minimum),
}
