import time

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import torch
from torch_lr_finder import LRFinder

from s10_pipeline.vision.errors import UserError
from s10_pipeline.vision.lr_search.suggestions import _longest_decreasing_run, fall_of, suggest_learning_rates

LR = np.logspace(-5, 1, 100)


def curve(loss: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({"lr": LR[: len(loss)], "loss": loss})


def bowl() -> np.ndarray:
    """Flat to 1e-3, falling to its minimum at 0.1, rising steeply."""
    x = np.log10(LR)
    return np.where(x < -3, 2.3, np.where(x < -1, 2.3 - 0.6 * (x + 3), 1.1 + 2 * (x + 1) ** 2))


def test_known_answers_on_a_bowl():
    found = suggest_learning_rates(curve(bowl()), 1e-5)
    assert found["minimum"] == pytest.approx(0.1, rel=0.15)
    assert found["minimum_tenth"] == pytest.approx(found["minimum"] / 10)
    # halfway (in steps, which are even in the logarithm) from where the fall starts to its end
    assert found["valley"] == pytest.approx(1e-2, rel=0.15)
    assert 1e-3 < found["steepest"] < 0.1


def test_the_steepest_point_is_found_where_it_is():
    loss = np.full(100, 2.0)
    loss[60:] -= 1.0
    assert suggest_learning_rates(curve(loss), 1e-5)["steepest"] in (LR[59], LR[60])


@pytest.mark.parametrize("seed", range(5))
def test_steepest_is_what_torch_lr_finder_suggests(seed):
    rng = np.random.default_rng(seed)
    # up to the minimum: behind it theirs may find a steep fall between two peaks of divergence
    frame = curve((bowl() + rng.normal(0, 0.02, 100))[:72])
    model = torch.nn.Linear(1, 1)
    finder = LRFinder(model, torch.optim.SGD(model.parameters(), lr=0.1), torch.nn.MSELoss())
    finder.history = {"lr": frame["lr"].tolist(), "loss": frame["loss"].tolist()}
    axes = mpl.figure.Figure().subplots()
    _, theirs = finder.plot(ax=axes, suggest_lr=True, skip_end=0)
    assert suggest_learning_rates(frame, 1e-5)["steepest"] == pytest.approx(theirs)


def test_too_early_a_divergence_is_an_error_with_a_remedy():
    with pytest.raises(UserError, match=r"^lr_search.start_lr=1e-05: .*16 iterations.*lower start_lr"):
        suggest_learning_rates(curve(np.linspace(2, 9, 16)), 1e-5)
    assert suggest_learning_rates(curve(np.linspace(9, 2, 17)), 1e-5)


def test_the_fall_is_to_the_minimum_from_the_highest_before_it():
    assert fall_of(curve(bowl())) == pytest.approx((2.3, 1.1), rel=0.01)
    assert fall_of(curve(np.full(100, 2.3))) == (2.3, 2.3)
    # what comes after the minimum is no part of the fall, and the first points are noise
    loss = np.full(100, 2.0)
    loss[:5], loss[50:60], loss[60:] = 9.0, 1.5, 50.0
    assert fall_of(curve(loss)) == (2.0, 1.5)


def longest_run_point_by_point(loss: np.ndarray) -> tuple[int, int]:
    """Of equally long ones, the one that ends first, and of those the one that starts last."""
    chains = [[(1, i, i)] for i in range(len(loss))]  # (length, start, end)
    for i in range(len(loss)):
        for j in range(i):
            if loss[j] > loss[i]:
                chains[i] += [(length + 1, start, i) for length, start, _ in chains[j]]
    _, start, end = max((c for ends in chains for c in ends), key=lambda c: (c[0], -c[2], c[1]))
    return start, end


@pytest.mark.parametrize("seed", range(40))
def test_the_longest_fall_is_that_of_trying_all(seed):
    rng = np.random.default_rng(seed)
    size = int(rng.integers(1, 15))
    # few distinct values: ties everywhere
    loss = rng.integers(0, 6, size).astype(float) if seed % 2 else rng.normal(size=size)
    assert _longest_decreasing_run(loss) == longest_run_point_by_point(loss)


def test_two_thousand_points_take_no_time():
    loss = np.random.default_rng(0).normal(size=2000)
    elapsed = []
    for _ in range(3):
        start = time.perf_counter()
        _longest_decreasing_run(loss)
        elapsed.append(time.perf_counter() - start)
    assert min(elapsed) < 0.1
