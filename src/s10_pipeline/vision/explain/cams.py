"""Class activation maps (CAMs) in the form in which they are stored; reading them does not need torch."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Cams:
    """Class activation maps of misclassified images and of images with a planted tag, with the parameters used.

    Attributes:
        indices: int64 (N,), indices of the explained test images, in display order.
        predicted_nhw, true_nhw: float32 (N, H, W) in [0, 1], their maps for the predicted and for the true class.
        params: the :class:`~.params.ExplainParams` of the maps, as JSON. The report shows these, not the current ones.
        model: digest "sha256:..." of the explained model's file.
        shortcut, shortcut_examples, shortcut_nhw: results of :func:`~.shortcut_maps.explain_shortcut`.
    """

    indices: NDArray[np.int64]
    predicted_nhw: NDArray[np.float32]
    true_nhw: NDArray[np.float32]
    params: dict[str, Any]
    model: str
    shortcut: dict[str, Any] | None
    shortcut_examples: list[dict[str, Any]]
    shortcut_nhw: NDArray[np.float32]


def is_blank(cams_nhw: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return which maps (N, H, W) are blank, bool (N,): a blank map is constant, so it highlights no region."""
    blank: NDArray[np.bool_] = np.ptp(cams_nhw, axis=(1, 2)) == 0
    return blank
