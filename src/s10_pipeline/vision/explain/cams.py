"""Class activation maps as they are stored: an artifact that is read without torch."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Cams:
    """The maps of the misclassified images and of the shortcut probe, with what made them.

    Attributes:
        indices: int64 (N,): the explained test images, in display order.
        predicted_nhw, true_nhw: float32 (N, H, W) in [0, 1]: their maps for the predicted and for the true class.
        params: of :class:`~.params.ExplainParams`, as JSON has them. The page shows these, not those of the call that
            renders it.
        model: "sha256:..." of the explained model's file.
        shortcut, shortcut_examples, shortcut_nhw: of :func:`~.shortcut_maps.explain_shortcut`.
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
    """Tell which maps say nothing (bool (N,)): no place speaks for the class more than any other."""
    blank: NDArray[np.bool_] = np.ptp(cams_nhw, axis=(1, 2)) == 0
    return blank
