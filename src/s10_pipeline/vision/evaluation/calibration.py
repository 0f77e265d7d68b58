"""Calibration: compare the model's confidence with its accuracy, and fit a temperature that corrects it."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.optimize import brentq, minimize_scalar
from scipy.special import logsumexp, softmax
from scipy.stats import chi2

from ..figure_text import literal
from .intervals import LEVEL, wilson

Floats = NDArray[np.float64]

# Range of temperatures that the fit searches. The fit ends at a bound if no temperature inside the range is better, for
# example because every prediction is right.
MIN_TEMPERATURE, MAX_TEMPERATURE = 0.05, 20.0
# Losses (in nats) that differ by less than this count as equal: the difference is rounding error.
NO_LOSS = 1e-9
_LOG_INVERSES = (-np.log(MAX_TEMPERATURE), -np.log(MIN_TEMPERATURE))
_NUM_RESAMPLES, _RESAMPLES_AT_ONCE = 500, 50
_TAILS = (50 * (1 - LEVEL), 50 * (1 + LEVEL))


def fit_temperature(probabilities_nk: Floats, labels: NDArray[np.int64]) -> float:
    """Return the temperature that minimises the mean cross-entropy (Guo et al. 2017, arXiv:1706.04599, section 4.2).

    The loss is convex in 1 / temperature, so one bounded search finds its minimum. Dividing logits by a temperature
    does not change the predicted classes, so accuracy stays the same.

    Args:
        probabilities_nk: softmax outputs (N, K) on images that the model was not trained on. For a temperature that is
            applied to test images, these are validation images.
        labels: int64 (N,).

    Returns:
        A temperature in [0.05, 20]; above 1 if the model is overconfident. It is a bound if no temperature inside is
        better. For example, if every prediction is right, a lower temperature always lowers the loss.
    """
    loss = _loss(probabilities_nk, labels)
    found = minimize_scalar(loss, bounds=_LOG_INVERSES, method="bounded", options={"xatol": 1e-6})
    # If the loss is practically equal for many temperatures, the search stops at an arbitrary one. So return a bound of
    # the searched range if its loss is as low.
    best = next((bound for bound in reversed(_LOG_INVERSES) if loss(bound) <= found.fun + NO_LOSS), found.x)
    return _temperature(best)


def temperature_interval(probabilities_nk: Floats, labels: NDArray[np.int64]) -> tuple[float, float, float]:
    """Return the temperature that fits these images best, and both ends of its 95 % profile-likelihood interval.

    The interval holds each temperature whose log-likelihood is at most 1.92 below the best one's (Wilks 1938). For a
    calibrated model, one such interval in twenty excludes 1. An end outside the search range is cut off at its bound.
    """
    loss = _loss(probabilities_nk, labels)
    best = fit_temperature(probabilities_nk, labels)
    log_best = -float(np.log(best))
    highest = loss(log_best) + chi2.ppf(LEVEL, 1) / (2 * len(labels))
    high, low = (
        bound if loss(bound) <= highest else brentq(lambda x: loss(x) - highest, bound, log_best, xtol=1e-5)
        for bound in _LOG_INVERSES
    )
    return best, _temperature(low), _temperature(high)


def _loss(probabilities_nk: Floats, labels: NDArray[np.int64]) -> Callable[[float], float]:
    """Return a function that computes the mean cross-entropy at a temperature, given log(1 / temperature)."""
    log_nk = _log(probabilities_nk)
    true_n = log_nk[np.arange(len(labels)), labels]

    def loss(log_inverse: float) -> float:
        inverse = np.exp(log_inverse)
        return float((logsumexp(inverse * log_nk, axis=1) - inverse * true_n).mean())

    return loss


def _temperature(log_inverse: float) -> float:
    return float(np.clip(np.exp(-log_inverse), MIN_TEMPERATURE, MAX_TEMPERATURE))


def apply_temperature(probabilities_nk: Floats, temperature: float) -> Floats:
    """Return the probabilities (N, K) after temperature scaling: softmax of log-probabilities / ``temperature``.

    Log-probabilities differ from the logits by a constant per image, which softmax ignores.
    """
    scaled: Floats = softmax(_log(probabilities_nk) / temperature, axis=1)
    return scaled


def losses(probabilities_nk: Floats, labels: NDArray[np.int64]) -> Floats:
    """Return the cross-entropy of each image (N,) in nats: minus the logarithm of the probability of its label.

    Probabilities below the smallest normal float64 are raised to it, so the cross-entropy is at most 708.
    ``sklearn.metrics.log_loss`` clips probabilities, so it stops at 36; PyTorch's loss in training has no such limit.
    """
    return -_log(probabilities_nk[np.arange(len(labels)), labels])


def _log(probabilities: Floats) -> Floats:
    logs: Floats = np.log(np.maximum(probabilities, np.finfo(np.float64).tiny))
    return logs


def measure_reliability(probabilities_nk: Floats, labels: NDArray[np.int64], num_bins: int) -> pd.DataFrame:
    """Group the images by confidence into bins of equal width, and measure the accuracy in each bin.

    Returns:
        One row per bin: ``low`` (exclusive) and ``high`` edge, ``count`` of images, mean ``confidence``, ``accuracy``,
        and its Wilson interval ``accuracy_low``, ``accuracy_high``. Values other than edges and count are NaN in an
        empty bin.
    """
    confidence = probabilities_nk.max(1)
    right = probabilities_nk.argmax(1) == labels
    bins = _bins(confidence, num_bins)
    count = np.bincount(bins, minlength=num_bins)
    num_right = np.bincount(bins, weights=right, minlength=num_bins)
    sums = np.bincount(bins, weights=confidence, minlength=num_bins)
    intervals = np.array([wilson(int(r), int(n)) for r, n in zip(num_right, count, strict=True)])
    empty = np.where(count > 0, 1.0, np.nan)
    return pd.DataFrame(
        {
            "low": np.arange(num_bins) / num_bins,
            "high": np.arange(1, num_bins + 1) / num_bins,
            "count": count,
            "confidence": sums / np.maximum(count, 1) * empty,
            "accuracy": num_right / np.maximum(count, 1) * empty,
            "accuracy_low": intervals[:, 0] * empty,
            "accuracy_high": intervals[:, 1] * empty,
        }
    )


def expected_calibration_error(probabilities_nk: Floats, labels: NDArray[np.int64], num_bins: int) -> float:
    """Return the expected calibration error: the mean gap between confidence and accuracy over bins of confidence.

    The mean is weighted by the number of images in each bin (Guo et al. 2017, eq. 3).
    """
    bins = measure_reliability(probabilities_nk, labels, num_bins)
    gaps = (bins["accuracy"] - bins["confidence"]).abs().fillna(0.0)
    return float((gaps * bins["count"]).sum() / len(labels))


def calibration_error_interval(
    probabilities_nk: Floats, labels: NDArray[np.int64], num_bins: int
) -> tuple[float, float, float]:
    """Return both ends of a 95 % bootstrap interval of the expected calibration error, and the mean error that a
    perfectly calibrated model shows by chance on as many images.

    Even a perfectly calibrated model has an error above zero on few images, because the accuracy in each bin varies by
    chance. We simulate this error by chance: each image is right with a probability equal to its confidence. Bootstrap
    resampling adds the same upward bias once more, so we use the basic bootstrap interval, which subtracts it (Davison
    and Hinkley 1997, section 5.2).
    """
    confidence = probabilities_nk.max(1)
    gaps = (probabilities_nk.argmax(1) == labels) - confidence
    bins_nb = (_bins(confidence, num_bins)[:, None] == np.arange(num_bins)).astype(float)
    rng, n = np.random.default_rng(0), len(labels)
    resampled, calibrated = [], []
    # One matrix product sums the gap between accuracy and confidence in each bin, for 50 bootstrap resamples at once.
    for _ in range(_NUM_RESAMPLES // _RESAMPLES_AT_ONCE):
        weights = rng.multinomial(n, np.full(n, 1 / n), _RESAMPLES_AT_ONCE)
        resampled.append(np.abs((weights * gaps) @ bins_nb).sum(1) / n)
        right = rng.random((_RESAMPLES_AT_ONCE, n)) < confidence
        calibrated.append(np.abs((right - confidence) @ bins_nb).sum(1) / n)
    observed = np.abs(gaps @ bins_nb).sum() / n
    high, low = 2 * observed - np.percentile(np.concatenate(resampled), _TAILS)
    usual = np.concatenate(calibrated)
    # If a calibrated model shows an error at least as large as the observed one in 5 % of the simulations or more, the
    # true error may be zero. The interval then starts at 0.
    low = 0.0 if observed <= np.percentile(usual, 100 * LEVEL) else max(0.0, low)
    # On few images, subtracting the bias may move the whole interval below the observed error.
    return float(min(low, observed)), float(max(high, observed)), float(usual.mean())


def _bins(confidence: Floats, num_bins: int) -> NDArray[np.int64]:
    bins: NDArray[np.int64] = np.clip(np.ceil(confidence * num_bins).astype(int) - 1, 0, num_bins - 1)
    return bins


def tabulate_reliability(
    probabilities_nk: Floats, labels: NDArray[np.int64], temperature: float, num_bins: int
) -> pd.DataFrame:
    """Return the table ``reliability``: accuracy per bin of confidence, without and with temperature scaling.

    The rows are those of :func:`measure_reliability`. The column ``temperature`` is 1 in the first half (no scaling).
    """
    return pd.concat(
        [
            measure_reliability(apply_temperature(probabilities_nk, t), labels, num_bins).assign(temperature=t)
            for t in (1.0, temperature)
        ],
        ignore_index=True,
    )


def plot_reliability(reliability: pd.DataFrame, title: str) -> Figure:
    """Draw reliability diagrams without (left) and with temperature scaling, each above a histogram of confidences.

    Bars show accuracy per bin of confidence; on the diagonal a model is perfectly calibrated.
    """
    num_bins = len(reliability) // 2
    figure = Figure(figsize=(8, 4.4), dpi=200, layout="constrained")
    axes = figure.subplots(2, 2, sharex=True, sharey="row", height_ratios=(3, 1))
    parts = (reliability.iloc[:num_bins], reliability.iloc[num_bins:])
    for (top, bottom), part in zip(axes.T, parts, strict=True):
        temperature, filled = part["temperature"].iloc[0], part[part["count"] > 0]
        ece = ((filled["accuracy"] - filled["confidence"]).abs() * filled["count"]).sum() / filled["count"].sum()
        width = part["high"] - part["low"]
        top.plot([0, 1], [0, 1], color="#888888", linestyle="--", linewidth=1)
        top.bar(part["low"], part["accuracy"], width, align="edge", color="#9ec5ee", edgecolor="white", linewidth=0.5)
        errors = [filled["accuracy"] - filled["accuracy_low"], filled["accuracy_high"] - filled["accuracy"]]
        top.errorbar(
            filled["confidence"], filled["accuracy"], np.clip(errors, 0, 1),
            fmt="o", color="#0b4f94", markersize=3.5, elinewidth=1,
        )  # fmt: skip
        when = "as trained" if part is parts[0] else f"temperature {temperature:.2f}, fitted on validation images"
        top.set_title(f"{when}\nECE {ece:.2%}", fontsize=11)
        bottom.bar(part["low"], part["count"], width, align="edge", color="#b7bcc2", edgecolor="white", linewidth=0.5)
        bottom.set(xlabel="confidence", xlim=(0, 1))
        top.grid(alpha=0.25)
    axes[0, 0].set(ylabel="accuracy", ylim=(0, 1))
    axes[1, 0].set_ylabel("images")
    figure.suptitle(literal(title), fontsize=12)
    return figure
