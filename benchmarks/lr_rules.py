"""Learning-rate finders: each chooses a rate from the raw losses of a range test, smoothed as in its library.

The libraries are not imported: each rule is written in a few lines from documentation and source of the named version.
If a library's own test covers another range (fastai 1e-7 to 10, Lightning 1e-8 to 1, 100 batches each), its rule reads
only the part of our test inside that range.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from s10_pipeline.vision.lr_search.curve import smooth_losses
from s10_pipeline.vision.lr_search.params import LrSearchParams
from s10_pipeline.vision.lr_search.rate import choose_rate

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Curve:
    """Learning rate and raw loss of each batch of a range test."""

    lr: Floats
    loss: Floats

    def up_to(self, end_lr: float) -> "Curve":
        inside = self.lr <= end_lr
        return Curve(self.lr[inside], self.loss[inside])

    def stopped(self, smoothed: Floats, factor: float) -> "Curve":
        """Return the smoothed curve up to the first loss above ``factor`` times the lowest before it, inclusive."""
        above = np.flatnonzero(smoothed > factor * np.minimum.accumulate(smoothed))
        end = above[0] + 1 if len(above) else len(smoothed)
        return Curve(self.lr[:end], smoothed[:end])

    def without_ends(self, first: int, last: int) -> "Curve":
        return Curve(self.lr[first:-last], self.loss[first:-last])


def corrected_mean(loss: Floats, decay: float, ahead: int = 0) -> Floats:
    """Return a bias-corrected exponential mean (Kingma and Ba 2015, section 3), as in fastai and Lightning.

    Args:
        ahead: 1 for Lightning, which corrects by the number of the next batch, so its curve starts too low.
    """
    mean, result = 0.0, np.empty(len(loss))
    for i, value in enumerate(loss):
        mean = decay * mean + (1 - decay) * value
        result[i] = mean / (1 - decay ** (i + 1 + ahead))
    return result


def plain_mean(loss: Floats, weight: float) -> Floats:
    """Return an exponential mean that starts at the first loss, as in torch-lr-finder."""
    result = loss.copy()
    for i in range(1, len(loss)):
        result[i] = weight * loss[i] + (1 - weight) * result[i - 1]
    return result


def torch_lr_finder(curve: Curve) -> float:
    """Return the rate of the steepest fall per batch, as ``LRFinder.plot`` does (torch-lr-finder 0.2.2, defaults)."""
    read = curve.stopped(plain_mean(curve.loss, 0.05), 5).without_ends(10, 5)
    return float(read.lr[np.gradient(read.loss).argmin()])


def lightning(curve: Curve) -> float:
    """Return the rate of the steepest fall per change of rate: ``_LRFinder.suggestion`` since Lightning 2.5.3."""
    read = _lightning(curve)
    return float(read.lr[np.gradient(read.loss, read.lr).argmin()])


def lightning_log(curve: Curve) -> float:
    """Return the rate of the steepest fall per batch, as in Lightning before 2.5.3.

    Later releases use the fall per logarithm of the rate, which gives the same point."""
    read = _lightning(curve)
    return float(read.lr[np.gradient(read.loss).argmin()])


def _lightning(curve: Curve) -> Curve:
    curve = curve.up_to(1.0)
    return curve.stopped(corrected_mean(curve.loss, 0.98, ahead=1), 4).without_ends(10, 1)


def _fastai(curve: Curve) -> Curve:
    """Return the part of the curve that fastai 2.7 (``Learner.lr_find``) uses: no first tenth, no last 5 batches."""
    return curve.stopped(corrected_mean(curve.loss, 0.98), 4).without_ends(len(curve.lr) // 10, 5)


def fastai_valley(curve: Curve) -> float:
    """Return the rate in the middle of the longest decreasing subsequence of losses, fastai's default."""
    read = _fastai(curve)
    start, length = _longest_fall(read.loss)
    return float(read.lr[start + length // 3 + length // 6])


def fastai_steep(curve: Curve) -> float:
    read = _fastai(curve)
    return float(read.lr[(np.diff(read.loss) / np.diff(np.log(read.lr))).argmin()])


def fastai_minimum(curve: Curve) -> float:
    read = _fastai(curve)
    return float(read.lr[read.loss.argmin()]) / 10


def fastai_slide(curve: Curve) -> float:
    """Move two points, 15 batches apart, from the end downwards until the gradients of the loss at both are similar."""
    read = _fastai(curve)
    gradient = np.gradient(read.loss)
    right, left = -1, -16
    rate = read.lr[left]
    while left >= -len(read.loss) and abs(gradient[right] - gradient[left]) > 0.005:
        rate = read.lr[left]
        right, left = right - 1, left - 1
    return float(rate)


def _longest_fall(loss: Floats) -> tuple[int, int]:
    """Return start (end minus length) and length of the longest decreasing subsequence, as fastai counts them."""
    lengths, best = np.ones(len(loss), int), 0
    for i in range(1, len(loss)):
        lengths[i] = 1 + max((lengths[j] for j in range(i) if loss[i] < loss[j]), default=0)
        if lengths[i] > lengths[best]:
            best = i
    return best - int(lengths[best]), int(lengths[best])


def _ours(curve: Curve) -> Curve:
    """Return the curve as this project used it when the benchmark began.

    It has rates up to 5, and stops where a raw loss exceeds five times the lowest."""
    curve = curve.up_to(5.0)
    raw = curve.stopped(curve.loss, 5)
    return Curve(raw.lr, corrected_mean(raw.loss, 0.95)).without_ends(10, 5)


def steepest(curve: Curve) -> float:
    read = _ours(curve)
    return float(read.lr[np.gradient(read.loss)[: read.loss.argmin() + 1].argmin()])


def valley(curve: Curve) -> float:
    read = _ours(curve)
    start, length = _longest_fall(read.loss)
    return float(read.lr[max(0, start) + length // 2])


def minimum(curve: Curve) -> float:
    read = _ours(curve)
    return float(read.lr[read.loss.argmin()])


def minimum_tenth(curve: Curve) -> float:
    return minimum(curve) / 10


# Name of the finder -> (kind of range test that it reads, rule).
RULES: dict[str, tuple[str, Callable[[Curve], float]]] = {
    "torch-lr-finder": ("fresh", torch_lr_finder),
    "fastai valley": ("fresh", fastai_valley),
    "fastai steep": ("fresh", fastai_steep),
    "fastai minimum": ("fresh", fastai_minimum),
    "fastai slide": ("fresh", fastai_slide),
    "Lightning": ("fresh", lightning),
    "Lightning, log": ("fresh", lightning_log),
    "base today": ("fresh", steepest),
    "cpu today": ("fine", valley),
    "sample today": ("fine", minimum_tenth),
    "seed today": ("fresh", minimum),
    "minimum, warm": ("warm", minimum),
    "minimum / 10, warm": ("warm", minimum_tenth),
}
# Rates that need no range test.
TYPED: dict[str, Callable[[int], float]] = {
    "typed 0.1 x batch/128": lambda batch_size: 0.1 * batch_size / 128,
    "typed 0.1 x root of batch/128": lambda batch_size: 0.1 * math.sqrt(batch_size / 128),
    "typed 0.25 x (batch/128)^0.75": lambda batch_size: 0.25 * (batch_size / 128) ** 0.75,
    "typed 0.1": lambda _batch_size: 0.1,
}


def auto(tests: Sequence[Curve], batch_size: int, momentum: float) -> float:
    """Return the rate of this project's method, from as many tests as it runs."""
    params = LrSearchParams()
    frames = [
        pd.DataFrame({"lr": c.lr, "loss": smooth_losses(c.lr, c.loss, params.smoothing), "raw_loss": c.loss, "run": i})
        for i, c in enumerate(tests)
    ]
    return float(choose_rate(pd.concat(frames), params, batch_size, momentum)["lr"])


def suggested(curves: Mapping[str, Curve], batch_size: int) -> dict[str, float]:
    """Return the rate of each finder; without one if its curve is missing or too short.

    Args:
        curves: kind of range test -> curve, of one seed.
    """
    rates = {name: rule(batch_size) for name, rule in TYPED.items()}
    for name, (kind, rule) in RULES.items():
        if kind in curves:
            try:
                rates[name] = rule(curves[kind])
            except (ValueError, IndexError):
                continue
    return rates
