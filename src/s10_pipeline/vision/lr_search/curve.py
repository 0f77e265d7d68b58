"""The curve of a range test: smoothed without lag, and read up to its first divergence."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# The first batches show the loss of the fresh network; no reading looks at them (torch-lr-finder leaves out as many).
SKIP_START = 10

# Losses of constant mean rise by so many standard errors of the smoothed loss in 1 of 100 range tests.
MAX_ERRORS = 9.0

# The loss has blown up where it stays above so many times that of the first batches.
BLOWN_UP = 1.5


def smooth_losses(lr: Floats, raw_loss: Floats, bandwidth: float) -> Floats:
    """Fit a line around each point, by a Gaussian kernel over the logarithm of the rate (local linear regression).

    Such a mean looks to both sides, so it does not lag behind the rate, and a straight fall stays as it is up to both
    ends. Losses above twice the first ones are clipped, so the smoothed loss before a divergence does not depend on how
    violent the divergence is.

    Args:
        lr: geometric sequence, as the range test raises it.
        bandwidth: standard deviation of the kernel in decades of the rate; at least one step of ``lr`` is used.
    """
    num_points = len(lr)
    if num_points < 2:
        return raw_loss.copy()
    step = _step_of(lr)
    bandwidth = max(bandwidth, step)
    reach = min(num_points - 1, int(4 * bandwidth / step) + 1)
    distance = np.arange(-reach, reach + 1) * step
    kernel = np.exp(-0.5 * (distance / bandwidth) ** 2)

    def moment(values: Floats, power: int) -> Floats:
        return np.correlate(values, kernel * distance**power, "full")[reach : reach + num_points]

    clipped = np.minimum(raw_loss, 2 * np.median(raw_loss[:SKIP_START]))
    s0, s1, s2 = (moment(np.ones(num_points), power) for power in range(3))
    return np.asarray((s2 * moment(clipped, 0) - s1 * moment(clipped, 1)) / (s0 * s2 - s1**2))


def num_readable(lr_curve: pd.DataFrame, bandwidth: float) -> int:
    """Return the number of points before the loss first diverges, or before the last ones if it never does.

    The loss diverges where it has risen from its lowest point by more than half of the fall before it, and by more than
    chance explains. The last points (1.5 bandwidths, at most an eighth) are not read, because the lines there rest on
    one side alone and follow single batches.
    """
    loss = lr_curve["loss"].to_numpy(float)
    lowest, highest = np.minimum.accumulate(loss), np.maximum.accumulate(loss)
    diverged = loss - lowest > np.maximum((highest - lowest) / 2, noise_of(lr_curve, bandwidth))
    one_sided = min(int(np.ceil(1.5 * bandwidth / _step_of(lr_curve["lr"].to_numpy(float)))), len(loss) // 8)
    return int(np.argmax(diverged)) if diverged.any() else len(loss) - one_sided


def blow_up(lr_curve: pd.DataFrame, end_lr: float) -> float:
    """Return the rate from which on the loss stays above 1.5 times the first ones, or at which the test broke off.

    Infinite if neither. A rise that passes counts for nothing: while the rate is raised fast, the loss often rises and
    falls again at rates that train well.
    """
    lr, loss = lr_curve["lr"].to_numpy(float), lr_curve["loss"].to_numpy(float)
    first = np.median(lr_curve["raw_loss"][:SKIP_START])
    end = 1 + int(np.max(np.flatnonzero(loss <= BLOWN_UP * first), initial=-1))
    if end < len(lr):
        return float(lr[end])
    return float(lr[-1]) if lr[-1] < 0.99 * end_lr else float("inf")


def noise_of(lr_curve: pd.DataFrame, bandwidth: float) -> float:
    """Return the largest difference of smoothed losses that chance explains, from the scatter of the raw ones."""
    # the median, because most of the scatter lies behind a divergence; 1.48 makes it a standard deviation
    scatter = 1.48 * float(np.median(np.abs(lr_curve["raw_loss"] - lr_curve["loss"])))
    # a Gaussian kernel averages the points of 2 sqrt(pi) of its standard deviations, and follows some of their scatter
    averaged = 2 * np.sqrt(np.pi) * max(1.0, bandwidth / _step_of(lr_curve["lr"].to_numpy(float)))
    return MAX_ERRORS * scatter / float(np.sqrt(averaged - 2 * np.sqrt(2) + 1))


def _step_of(lr: Floats) -> float:
    return float(np.log10(lr[-1] / lr[0])) / (len(lr) - 1)
