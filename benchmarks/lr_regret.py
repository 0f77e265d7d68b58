"""Compute the regret of a learning rate: accuracy at the best rate minus accuracy at this rate, on a smooth curve."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Half-width, in decades, within which runs count for a point of the curve: three or four rates of a half-decade grid.
BANDWIDTH = 1.1
# Runs so many points below the best rate's mean bend the curve's top no further: there it follows the means themselves.
CLIFF = 5.0
GRID_PER_DECADE = 24
RESAMPLES = 300


class AccuracyCurve:
    """Accuracy as a function of the logarithm of the learning rate: a local quadratic fit to all runs.

    Outside the range of trained rates the curve is constant, so the regret there is a lower bound.

    Args:
        rates: learning rate of each run.
        accuracies: accuracy of each run, in percent.
    """

    def __init__(self, rates: Floats, accuracies: Floats) -> None:
        x = np.log10(rates)
        levels, inverse, counts = np.unique(x.round(6), return_inverse=True, return_counts=True)
        means = np.bincount(inverse, accuracies) / counts
        clipped = np.bincount(inverse, np.maximum(accuracies, means.max() - CLIFF)) / counts
        num_points = max(2, round(GRID_PER_DECADE * (levels[-1] - levels[0])) + 1)
        self._grid = np.linspace(levels[0], levels[-1], num_points)
        smooth = local_quadratic(levels, clipped, counts, self._grid)
        plain = np.interp(self._grid, levels, means)
        self._values = np.where(plain < means.max() - CLIFF, plain, smooth)
        self.best = float(self._values.max())
        self.best_rate = float(10 ** self._grid[self._values.argmax()])

    def regret(self, rates: Iterable[float]) -> float:
        """Return the mean regret of these rates, in percentage points."""
        at = np.interp(np.log10(np.asarray(list(rates))), self._grid, self._values)
        return float(self.best - at.mean())


def local_quadratic(x: Floats, y: Floats, counts: NDArray[np.int64], at: Floats) -> Floats:
    """Fit a quadratic around each point by least squares with tricube weights; a line or mean if rates are too few."""
    distance = at[:, None] - x[None]
    weights = counts * np.clip(1 - (np.abs(distance) / BANDWIDTH) ** 3, 0, None) ** 3
    powers = np.stack([np.ones_like(distance), -distance, distance**2], axis=-1)
    normal = np.einsum("pn,pni,pnj->pij", weights, powers, powers)
    right = np.einsum("pn,pni,n->pi", weights, powers, y)
    return (np.linalg.pinv(normal, rcond=1e-9, hermitian=True) @ right[..., None])[:, 0, 0]


def regrets(runs: pd.DataFrame, suggested: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Compute the regret of each finder in one setting.

    Args:
        runs: columns ``rate``, ``seed``, ``accuracy`` (fraction), ``val_accuracy``.
        suggested: the rates: one row per range test, one column per finder.

    Returns:
        one row per finder: ``regret``, ``low`` and ``high`` end of its 95 % bootstrap interval over training seeds and
        tests, ``rate`` (median), ``spread`` (largest / smallest). The row ``grid, one seed`` chooses the rate with the
        best validation accuracy among one seed's trainings, and is scored on the other seeds' accuracies.
    """
    rng = np.random.default_rng(seed)
    curve = AccuracyCurve(runs["rate"].to_numpy(), 100 * runs["accuracy"].to_numpy())
    by_seed = [group for _, group in runs.groupby("seed")]
    resampled: dict[str, list[float]] = {name: [] for name in suggested}
    for _ in range(RESAMPLES):
        drawn = pd.concat([by_seed[i] for i in rng.integers(len(by_seed), size=len(by_seed))])
        # rates far from the best one were trained with only one seed
        drawn = pd.concat([drawn, runs[~runs["rate"].isin(drawn["rate"])]])
        other = AccuracyCurve(drawn["rate"].to_numpy(), 100 * drawn["accuracy"].to_numpy())
        tests = suggested.iloc[rng.integers(len(suggested), size=len(suggested))]
        for name in suggested:
            rates = tests[name].dropna()
            resampled[name].append(other.regret(rates) if len(rates) else np.nan)
    rows = {}
    for name in suggested:
        rates = suggested[name].dropna()
        low, high = np.nanpercentile(resampled[name], [2.5, 97.5])
        rows[name] = {
            "regret": curve.regret(rates),
            "low": low,
            "high": high,
            "rate": rates.median(),
            "spread": rates.max() / rates.min(),
        }
    rows["grid, one seed"] = _oracle(by_seed)
    return pd.DataFrame.from_dict(rows, orient="index")


def _oracle(by_seed: list[pd.DataFrame]) -> dict[str, float]:
    found, rates = [], []
    for i, own in enumerate(by_seed):
        others = pd.concat(by_seed[:i] + by_seed[i + 1 :]) if len(by_seed) > 1 else own
        rates.append(float(own.loc[own["val_accuracy"].idxmax(), "rate"]))
        curve = AccuracyCurve(others["rate"].to_numpy(), 100 * others["accuracy"].to_numpy())
        found.append(curve.regret([rates[-1]]))
    return {
        "regret": float(np.mean(found)),
        "low": float(np.min(found)),
        "high": float(np.max(found)),
        "rate": float(np.median(rates)),
        "spread": max(rates) / min(rates),
    }
