import numpy as np
import pytest
from scipy.stats import binom

from s10_pipeline.vision.evaluation.comparison import mcnemar_test


def outcomes(both: int, first: int, second: int, neither: int):
    pairs = [(True, True)] * both + [(True, False)] * first + [(False, True)] * second + [(False, False)] * neither
    return np.array(pairs, bool).T


def test_known_answer():
    # 9 against 1: 2 * P(X <= 1 | n = 10, p = 1/2) = 2 * 11 / 1024
    result = mcnemar_test(*outcomes(50, 9, 1, 7))
    assert (result.only_first, result.only_second) == (9, 1)
    assert result.p_value == pytest.approx(22 / 1024)


@pytest.mark.parametrize(("first", "second"), [(3, 17), (40, 60), (12, 12)])
def test_it_is_the_two_sided_sign_test_of_the_differing_images(first, second):
    expected = min(1.0, 2 * binom.cdf(min(first, second), first + second, 0.5))
    assert mcnemar_test(*outcomes(5, first, second, 5)).p_value == pytest.approx(expected)
    assert mcnemar_test(*outcomes(500, second, first, 0)).p_value == pytest.approx(expected)


def test_equal_classifiers():
    assert mcnemar_test(*outcomes(5, 0, 0, 5)).p_value == 1.0
