import pytest

from s10_pipeline.vision.evaluation.intervals import difference, wilson


def test_wilson_known_answers():
    assert wilson(3, 4) == pytest.approx((0.30064, 0.95441), abs=1e-4)
    assert wilson(0, 0) == (0.0, 1.0)
    low, high = wilson(0, 10)
    assert low == 0.0
    assert high == pytest.approx(0.27753, abs=1e-4)


def test_difference_of_shares_known_answer():
    """Example (a) of Newcombe 1998, table II: 56 of 70 against 48 of 80."""
    assert difference((56, 70), (48, 80)) == pytest.approx((0.2, 0.0524, 0.3339), abs=1e-4)
