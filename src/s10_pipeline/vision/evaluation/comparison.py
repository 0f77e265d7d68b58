"""Whether two classifiers make different mistakes on the same images."""

import math
from dataclasses import dataclass

import pandas as pd
from scipy.stats import binomtest, norm

from .intervals import LEVEL


@dataclass(frozen=True)
class McNemar:
    """Result of :func:`compare_mistakes`.

    Attributes:
        only_first, only_second: images that one classifier alone got right.
        p_value: of no difference in accuracy, two-sided.
        num_images: on which both were tested.
    """

    only_first: int
    only_second: int
    p_value: float
    num_images: int

    def difference(self) -> tuple[float, float, float]:
        """Return by how much the second's accuracy is higher, and the ends of the interval, for paired images.

        The interval of Agresti and Min (Statistics in Medicine 24, 2005): Wald's, with 1/2 added to each of four cells.
        """
        better, worse, n = self.only_second + 0.5, self.only_first + 0.5, self.num_images + 2
        centre = (better - worse) / n
        half = float(norm.ppf((1 + LEVEL) / 2)) * math.sqrt((better + worse) / n - centre**2) / math.sqrt(n)
        return (self.only_second - self.only_first) / self.num_images, centre - half, centre + half

    def in_words(self) -> str:
        """Say by how much B is better than A, or that it cannot be told."""
        value, low, high = (100 * share for share in self.difference())
        told = "the more accurate on such images is " + ("B" if value > 0 else "A")
        if self.p_value >= 1 - LEVEL or low <= 0 <= high:
            told = f"which is the more accurate cannot be told from {self.num_images:,} images"
        return f"Accuracy of B minus that of A: {value:+.2f} points (95% interval {low:+.2f} to {high:+.2f}); {told}"


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
    return McNemar(only_first, only_second, p_value, len(merged))
