"""Analyse the loss curve of a learning-rate range test: smooth it, find divergence, estimate noise."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Number of batches at the start of a range test that are not used to choose a learning rate, because they show the loss
# of the untrained network. torch-lr-finder skips the same number.
SKIP_START = 10

# Threshold in standard errors: two smoothed losses of a range test that differ by less count as equal. If the true loss
# is constant, the smoothed loss of 1 in 100 range tests varies by more.
MAX_ERRORS = 9.0

# A learning rate is too high if, from that rate on, the loss of a range test stays above BLOWN_UP times the initial
# loss.
BLOWN_UP = 1.5


def smooth_losses(lr: Floats, raw_loss: Floats, bandwidth: float) -> Floats:
    """Smooth losses (N,) by local linear regression over log10(learning rate) with a Gaussian kernel.

    The kernel is symmetric, so the smoothed losses are not shifted to higher rates, as by an exponential average. A
    linear slope is preserved up to both ends. Losses above twice the initial loss are clipped first, so that the size
    of a divergence does not influence the smoothed loss before it.

    Args:
        lr: learning rates (N,), a geometric sequence.
        raw_loss: loss of each batch (N,).
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
    """Return the number of points of the loss curve before divergence, among which the minimum is searched.

    The loss diverges where it has risen from its lowest point so far by more than half of its fall
    before, and by more than chance explains. If it never diverges, only the last points (1.5 bandwidths, at most an
    eighth) are left out. They have neighbours on one side only, so their smoothed loss follows single batches.
    """
    loss = lr_curve["loss"].to_numpy(float)
    lowest, highest = np.minimum.accumulate(loss), np.maximum.accumulate(loss)
    diverged = loss - lowest > np.maximum((highest - lowest) / 2, noise_of(lr_curve, bandwidth))
    one_sided = min(int(np.ceil(1.5 * bandwidth / _step_of(lr_curve["lr"].to_numpy(float)))), len(loss) // 8)
    return int(np.argmax(diverged)) if diverged.any() else len(loss) - one_sided


def blow_up(lr_curve: pd.DataFrame, end_lr: float) -> float:
    """Return the lowest learning rate after which the loss stays above 1.5 times its initial value.

    If there is no such rate, return the last rate of a test that stopped early, else infinity. A temporary rise of
    the loss does not count: while the rate grows fast, the loss often rises and falls again at rates that train well.
    """
    lr, loss = lr_curve["lr"].to_numpy(float), lr_curve["loss"].to_numpy(float)
    first = np.median(lr_curve["raw_loss"][:SKIP_START])
    end = 1 + int(np.max(np.flatnonzero(loss <= BLOWN_UP * first), initial=-1))
    if end < len(lr):
        return float(lr[end])
    return float(lr[-1]) if lr[-1] < 0.99 * end_lr else float("inf")


def noise_of(lr_curve: pd.DataFrame, bandwidth: float) -> float:
    """Return the largest difference between two smoothed losses that chance explains, estimated from raw losses."""
    # Estimate the standard deviation by 1.48 times the median absolute deviation, because losses after a divergence are
    # outliers.
    scatter = 1.48 * float(np.median(np.abs(lr_curve["raw_loss"] - lr_curve["loss"])))
    # Effective number of losses that the Gaussian kernel averages: 2 sqrt(pi) times its standard deviation in points.
    averaged = 2 * np.sqrt(np.pi) * max(1.0, bandwidth / _step_of(lr_curve["lr"].to_numpy(float)))
    # Compute the standard error of a smoothed loss. The divisor is below sqrt(averaged), because the smoothed curve
    # follows each raw loss a little, so that residuals scatter less than raw losses do.
    return MAX_ERRORS * scatter / float(np.sqrt(averaged - 2 * np.sqrt(2) + 1))


def _step_of(lr: Floats) -> float:
    return float(np.log10(lr[-1] / lr[0])) / (len(lr) - 1)
