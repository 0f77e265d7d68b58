"""Test images whose label may be wrong, judged by the model's own probabilities."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .calibration import apply_temperature
from .classes import class_names

COLUMNS = ("index", "label_name", "suggested_name", "p_label", "p_suggested")

# A label is suspected where the model gives it less probability than this.
SUSPICIOUS = 0.01


def find_label_errors(test_predictions: pd.DataFrame, temperature: float) -> pd.DataFrame:
    """List the images whose label has less than 1 % of the calibrated probability.

    The model never saw these images in training. A person has to look, because the model cannot tell a wrong label
    from its own mistake; :func:`expected_by_chance` says how many mistakes of its own to expect on the list.

    Args:
        test_predictions: as written by ``evaluate``.
        temperature: fitted on validation images; it calibrates the probabilities.

    Returns:
        Columns :data:`COLUMNS`: ``index`` into the test images, calibrated probabilities of the label and of the class
        that is suggested in its place; the most suspicious first.
    """
    names = np.array(class_names(test_predictions), dtype=object)
    labels = test_predictions["label"].to_numpy()
    p_nk = _calibrated(test_predictions, temperature)
    p_label = p_nk[np.arange(len(labels)), labels]
    chosen = np.flatnonzero(p_label < SUSPICIOUS)
    suggested = p_nk[chosen].argmax(1)
    columns = (
        test_predictions["index"].to_numpy()[chosen],
        names[labels[chosen]],
        names[suggested],
        p_label[chosen],
        p_nk[chosen, suggested],
    )
    found = pd.DataFrame(dict(zip(COLUMNS, columns, strict=True)))
    return found.sort_values("p_label", kind="stable", ignore_index=True)


def expected_by_chance(test_predictions: pd.DataFrame, temperature: float) -> NDArray[np.float64]:
    """For each class (K,), how many images of its label are listed if labels are right and the model is calibrated.

    The label of an image is then drawn from its probabilities, and lies among those below 1 % with their sum.
    """
    p_nk = _calibrated(test_predictions, temperature)
    return np.asarray(np.where(p_nk < SUSPICIOUS, p_nk, 0.0).sum(0))


def _calibrated(test_predictions: pd.DataFrame, temperature: float) -> NDArray[np.float64]:
    columns = [f"p_{name}" for name in class_names(test_predictions)]
    return apply_temperature(test_predictions[columns].to_numpy(float), temperature)
