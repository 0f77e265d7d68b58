"""Whether two classifiers make different mistakes on the same images."""

from dataclasses import dataclass

import pandas as pd
from scipy.stats import binomtest


@dataclass(frozen=True)
class McNemar:
    """Result of :func:`compare_mistakes`.

    Attributes:
        only_first, only_second: images that one classifier alone got right.
        p_value: of no difference in accuracy, two-sided.
    """

    only_first: int
    only_second: int
    p_value: float


def compare_mistakes(first: pd.DataFrame, second: pd.DataFrame) -> McNemar:
    """McNemar's test (Psychometrika 12, 1947) in its exact form: a sign test of the images on which the two differ.

    Args:
        first, second: predictions (``index``, ``label``, ``prediction``) of the same images.
    """
    merged = first.merge(second, on="index", suffixes=("_first", "_second"), validate="one_to_one")
    right_first, right_second = (merged[f"prediction_{s}"] == merged[f"label_{s}"] for s in ("first", "second"))
    only_first, only_second = int((right_first & ~right_second).sum()), int((right_second & ~right_first).sum())
    differing = only_first + only_second
    p_value = float(binomtest(only_first, differing).pvalue) if differing else 1.0
    return McNemar(only_first, only_second, p_value)
