"""Select the misclassified test images for which class activation maps are computed."""

import numpy as np
import pandas as pd

from .params import ExplainParams


def select_misclassified(test_predictions: pd.DataFrame, params: ExplainParams) -> pd.DataFrame:
    """Choose ``params.num_images`` misclassified images, or all if there are fewer.

    Args:
        test_predictions: one row per test image, in any order; columns ``index`` (position in the test
            set), ``label``, ``prediction``, ``confidence`` (0-1) and any others.
        params: ``selection`` is ``most_confident`` (highest confidence first, ties by index), ``first`` (by index) or
            ``random`` (random order, which depends only on ``seed``).

    Returns:
        The chosen rows in display order, with the same columns and types; empty if there are no mistakes.
    """
    mistakes = test_predictions[test_predictions["label"] != test_predictions["prediction"]]
    mistakes = mistakes.sort_values("index", kind="stable")
    if params.selection == "most_confident":
        mistakes = mistakes.sort_values("confidence", ascending=False, kind="stable")
    elif params.selection == "random":
        mistakes = mistakes.iloc[np.random.default_rng(params.seed).permutation(len(mistakes))]
    return mistakes.head(params.num_images).reset_index(drop=True)


def draw_mistakes(test_predictions: pd.DataFrame, number: int, seed: int) -> pd.DataFrame:
    """Choose ``number`` misclassified images at random, or all if there are fewer, as a sample that represents all."""
    return select_misclassified(test_predictions, ExplainParams(num_images=number, selection="random", seed=seed))
