"""Test images whose label may be wrong, judged by the model's own probabilities."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .calibration import apply_temperature
from .classes import class_names, probabilities

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
        ``index`` into the test images, ``label_name``, ``suggested_name`` of the class that is suggested in its place,
        their calibrated probabilities ``p_label`` and ``p_suggested``; the most suspicious first.
    """
    names = np.array(class_names(test_predictions), dtype=object)
    labels = test_predictions["label"].to_numpy()
    p_nk = apply_temperature(probabilities(test_predictions), temperature)
    p_label = p_nk[np.arange(len(labels)), labels]
    chosen = np.flatnonzero(p_label < SUSPICIOUS)
    suggested = p_nk[chosen].argmax(1)
    found = pd.DataFrame(
        {
            "index": test_predictions["index"].to_numpy()[chosen],
            "label_name": names[labels[chosen]],
            "suggested_name": names[suggested],
            "p_label": p_label[chosen],
            "p_suggested": p_nk[chosen, suggested],
        }
    )
    return found.sort_values("p_label", kind="stable", ignore_index=True)


def expected_by_chance(test_predictions: pd.DataFrame, temperature: float) -> NDArray[np.float64]:
    """For each class (K,), how many images of its label are listed if labels are right and the model is calibrated.

    The label of an image is then drawn from its probabilities, and lies among those below 1 % with their sum.
    """
    p_nk = apply_temperature(probabilities(test_predictions), temperature)
    return np.asarray(np.where(p_nk < SUSPICIOUS, p_nk, 0.0).sum(0))
