"""Whether two classifiers make different mistakes on the same images."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import binomtest


@dataclass(frozen=True)
class McNemar:
    """Result of :func:`mcnemar_test`.

    Attributes:
        only_first, only_second: images that one classifier alone got right.
        p_value: of no difference in accuracy, two-sided.
    """

    only_first: int
    only_second: int
    p_value: float


def compare_mistakes(first: pd.DataFrame, second: pd.DataFrame) -> McNemar:
    """McNemar's test of two tables of predictions (``index``, ``label``, ``prediction``) of the same images."""
    merged = first.merge(second, on="index", suffixes=("_first", "_second"), validate="one_to_one")
    right = [(merged[f"prediction_{side}"] == merged[f"label_{side}"]).to_numpy() for side in ("first", "second")]
    return mcnemar_test(*right)


def mcnemar_test(right_first: NDArray[np.bool_], right_second: NDArray[np.bool_]) -> McNemar:
    """McNemar's test (Psychometrika 12, 1947) in its exact form: a sign test of the images on which the two differ.

    Args:
        right_first, right_second: bool (N,): whether each got an image right, in the same order.
    """
    only_first = int((right_first & ~right_second).sum())
    only_second = int((right_second & ~right_first).sum())
    differing = only_first + only_second
    p_value = float(binomtest(only_first, differing, 0.5).pvalue) if differing else 1.0
    return McNemar(only_first, only_second, p_value)
