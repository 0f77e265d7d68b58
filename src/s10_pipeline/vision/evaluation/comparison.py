"""Compare the accuracy of two classifiers on the same images: McNemar's test and an interval of the difference."""

import math
from dataclasses import dataclass

import pandas as pd
from scipy.stats import binomtest, norm

from .intervals import LEVEL


@dataclass(frozen=True)
class McNemar:
    """Result of McNemar's test of two classifiers (:func:`compare_mistakes`).

    Attributes:
        only_first, only_second: number of images that only this classifier classified correctly.
        p_value: two-sided, of the hypothesis that both are equally accurate.
        num_images: number of images that both were tested on.
    """

    only_first: int
    only_second: int
    p_value: float
    num_images: int

    def difference(self) -> tuple[float, float, float]:
        """Return the accuracy of the second classifier minus that of the first, and both ends of its 95 % interval.

        The interval is for paired data (Agresti and Min, Statistics in Medicine 24, 2005): Wald's interval after adding
        1/2 to each of the four cells.
        """
        better, worse, n = self.only_second + 0.5, self.only_first + 0.5, self.num_images + 2
        centre = (better - worse) / n
        half = float(norm.ppf((1 + LEVEL) / 2)) * math.sqrt((better + worse) / n - centre**2) / math.sqrt(n)
        return (self.only_second - self.only_first) / self.num_images, centre - half, centre + half

    def in_words(self) -> str:
        """Describe the difference in accuracy in one sentence that calls the first classifier A and the second B."""
        value, low, high = (100 * share for share in self.difference())
        told = "the more accurate on such images is " + ("B" if value > 0 else "A")
        if self.p_value >= 1 - LEVEL or low <= 0 <= high:
            told = f"which is the more accurate cannot be told from {self.num_images:,} images"
        return f"Accuracy of B minus that of A: {value:+.2f} points (95% interval {low:+.2f} to {high:+.2f}); {told}"


def compare_mistakes(first: pd.DataFrame, second: pd.DataFrame) -> McNemar:
    """Run McNemar's exact test, a sign test on the images that only one of two classifiers classified correctly.

    Source: McNemar, Psychometrika 12, 1947.

    Args:
        first, second: prediction tables (``index``, ``label``, ``prediction``) of the same images.
    """
    merged = first.merge(second, on="index", suffixes=("_first", "_second"), validate="one_to_one")
    right_first, right_second = (merged[f"prediction_{s}"] == merged[f"label_{s}"] for s in ("first", "second"))
    only_first, only_second = int((right_first & ~right_second).sum()), int((right_second & ~right_first).sum())
    differing = only_first + only_second
    p_value = float(binomtest(only_first, differing).pvalue) if differing else 1.0
    return McNemar(only_first, only_second, p_value, len(merged))
