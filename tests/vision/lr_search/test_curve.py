import numpy as np
import pandas as pd
import pytest

from s10_pipeline.vision.lr_search.curve import blow_up, noise_of, num_readable, smooth_losses
from s10_pipeline.vision.lr_search.params import LrSearchParams
from s10_pipeline.vision.lr_search.rate import read_test

LR = np.geomspace(1e-3, 5, 150)
X = np.log10(LR)
BANDWIDTH = 0.15
ONE_SIDED = 10  # 1.5 bandwidths, in steps of 0.025 decades


def curve(raw_loss: np.ndarray) -> pd.DataFrame:
    lr = LR[: len(raw_loss)]
    return pd.DataFrame({"lr": lr, "loss": smooth_losses(lr, raw_loss, BANDWIDTH), "raw_loss": raw_loss, "run": 0})


def bowl(at: float, wall: float = 4.0) -> np.ndarray:
    """Flat at 2.3, from half a decade before ``at`` on a parabola down to 1.8 there, and up again."""
    return np.minimum(2.3, 1.8 + 2 * (X - np.log10(at)) ** 2) + np.maximum(0, X - np.log10(at) - 0.3) * wall


def minimum(frame: pd.DataFrame) -> float:
    return read_test(frame, LrSearchParams(end_lr=5.0)).minimum


def line_point_by_point(lr: np.ndarray, loss: np.ndarray) -> list[float]:
    """Weighted least squares of a line at each point, by NumPy's solver."""
    x, fitted = np.log10(lr), []
    for centre in x:
        root = np.exp(-0.25 * ((x - centre) / BANDWIDTH) ** 2)
        design = np.stack([root, root * (x - centre)], axis=1)
        fitted.append(float(np.linalg.lstsq(design, root * loss, rcond=None)[0][0]))
    return fitted


def test_it_is_a_weighted_least_squares_line_at_each_point():
    loss = 2.3 + np.random.default_rng(0).normal(0, 0.1, 150)
    np.testing.assert_allclose(smooth_losses(LR, loss, BANDWIDTH), line_point_by_point(LR, loss), atol=1e-3)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("at", [0.03, 0.1, 0.5])
def test_the_lowest_loss_is_found_where_it_is(at, seed):
    noise = np.random.default_rng(seed).normal(0, 0.03, 150)
    assert minimum(curve(bowl(at) + noise)) == pytest.approx(at, rel=0.3)


@pytest.mark.parametrize("explosion", [3.0, 1e6])
def test_how_violent_a_divergence_is_does_not_matter_before_it(explosion):
    loss = bowl(0.1)[:120]
    loss[-1] = loss[-1] + explosion
    assert minimum(curve(loss)) == pytest.approx(0.1, rel=0.3)


@pytest.mark.parametrize("seed", range(20))
def test_noise_alone_neither_falls_nor_diverges(seed):
    noise = np.random.default_rng(seed).normal(0, 0.1, 150)
    frame = curve(2.3 + noise)
    # the loss of a network that learns nothing for three decades scatters, and only then falls
    flat_start = curve(np.minimum(2.3, 2.3 - 0.8 * (X - np.log10(0.3))) + noise)
    assert num_readable(frame, BANDWIDTH) == num_readable(flat_start, BANDWIDTH) == 150 - ONE_SIDED
    inner = frame["loss"][10:]
    assert inner.max() - inner.min() < noise_of(frame, BANDWIDTH)


@pytest.mark.parametrize(("height", "found"), [(3.0, None), (4.5, 0.5), (1e6, 0.5)])
def test_the_loss_blows_up_where_it_stays_above_one_and_a_half_times_the_first(height, found):
    loss = np.where(LR > 0.5, height, 2.3)
    # a rise that passes is none, however high
    for losses in (loss, np.where((LR > 0.05) & (LR < 0.3), height, loss)):
        assert blow_up(curve(losses), 5.0) == pytest.approx(found or np.inf, rel=0.3)
    # what broke off blew up where it ended
    assert blow_up(curve(loss[LR < 0.4]), 5.0) == pytest.approx(0.4, rel=0.1)


def test_where_lines_rest_on_one_side_nothing_is_read():
    # the last batches are lucky: lower than the valley, and no rise behind them
    loss = bowl(0.5, wall=0)
    loss[-3:] = 1.2
    assert curve(loss)["loss"].idxmin() == 149 and minimum(curve(loss)) == pytest.approx(0.5, rel=0.3)


@pytest.mark.parametrize("num_points", [0, 1, 2, 3])
def test_few_points_are_a_curve_too(num_points):
    assert np.isfinite(curve(np.full(num_points, 2.3))["loss"]).all()


def test_a_narrow_kernel_reaches_the_next_points():
    noisy = 2.3 + np.random.default_rng(0).normal(0, 0.1, 150)
    smoothed = smooth_losses(LR, noisy, 1e-6)
    assert np.isfinite(smoothed).all() and smoothed.std() < 0.8 * noisy.std()
