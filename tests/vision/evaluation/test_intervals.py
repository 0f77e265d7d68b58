import numpy as np
import pytest

from s10_pipeline.vision.evaluation.intervals import bootstrap_f1, difference, wilson


def test_wilson_known_answers():
    assert wilson(3, 4) == pytest.approx((0.30064, 0.95441), abs=1e-4)
    assert wilson(0, 0) == (0.0, 1.0)
    low, high = wilson(0, 10)
    assert low == 0.0
    assert high == pytest.approx(0.27753, abs=1e-4)


def test_f1_intervals_equal_a_bootstrap_over_images():
    counts = np.array([[80, 20, 0], [30, 60, 10], [0, 5, 95]])
    truth, prediction = (np.repeat(axis.ravel(), counts.ravel()) for axis in np.indices((3, 3)))
    rng = np.random.default_rng(1)
    by_hand = []
    for _ in range(2000):
        drawn = rng.integers(0, 300, 300)
        t, p = truth[drawn], prediction[drawn]
        by_hand.append([2 * ((t == k) & (p == k)).sum() / ((t == k).sum() + (p == k).sum()) for k in range(3)])
    expected = np.percentile(by_hand, [2.5, 97.5], axis=0).T
    np.testing.assert_allclose(bootstrap_f1(counts), expected, atol=0.012)


def test_f1_of_a_class_that_is_nowhere_is_not_a_number():
    ends = bootstrap_f1(np.array([[5, 1, 0], [2, 4, 0], [0, 0, 0]]))
    assert np.isnan(ends[2]).all()
    assert np.isfinite(ends[:2]).all()
    np.testing.assert_array_equal(ends, bootstrap_f1(np.array([[5, 1, 0], [2, 4, 0], [0, 0, 0]])))


def test_difference_of_shares_known_answer():
    """Example (a) of Newcombe 1998, table II: 56 of 70 against 48 of 80."""
    assert difference((56, 70), (48, 80)) == pytest.approx((0.2, 0.0524, 0.3339), abs=1e-4)
