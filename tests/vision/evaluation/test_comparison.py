import pandas as pd
import pytest
from scipy.stats import binom

from s10_pipeline.vision.evaluation.comparison import compare_mistakes


def compare(both: int, first: int, second: int, neither: int):
    """Compare two classifiers of which both, one or neither is right on so many images; all labels are 0."""
    pairs = [(0, 0)] * both + [(0, 1)] * first + [(1, 0)] * second + [(1, 1)] * neither
    rows = pd.DataFrame(pairs, columns=["first", "second"]).assign(label=0).rename_axis("index").reset_index()
    first_table, second_table = (rows.rename(columns={side: "prediction"}) for side in ("first", "second"))
    return compare_mistakes(first_table, second_table.sample(frac=1, random_state=0))


def test_known_answer():
    # 9 against 1: 2 * P(X <= 1 | n = 10, p = 1/2) = 2 * 11 / 1024
    result = compare(50, 9, 1, 7)
    assert (result.only_first, result.only_second) == (9, 1)
    assert result.p_value == pytest.approx(22 / 1024)
    # (1.5 - 9.5) / 69 -+ 1.96 * sqrt(11 / 69 - (8 / 69)^2) / sqrt(69)
    assert result.difference() == pytest.approx((-8 / 67, -0.2061, -0.0258), abs=1e-4)
    assert result.in_words().endswith("the more accurate on such images is A")
    assert "cannot be told from 67 images" in compare(50, 8, 2, 7).in_words()


@pytest.mark.parametrize(("first", "second"), [(3, 17), (40, 60), (12, 12), (0, 0)])
def test_it_is_the_two_sided_sign_test_of_the_differing_images(first, second):
    expected = min(1.0, 2 * binom.cdf(min(first, second), first + second, 0.5))
    assert compare(5, first, second, 5).p_value == pytest.approx(expected)
    assert compare(500, second, first, 0).p_value == pytest.approx(expected)
