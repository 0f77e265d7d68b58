"""Class activation maps as they are stored: an artifact that is read without torch."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save

_ARRAYS = ("indices", "predicted_nhw", "true_nhw", "shortcut_nhw")


@dataclass(frozen=True, eq=False)
class Cams:
    """The maps of the misclassified images and of the shortcut probe, with what made them.

    Attributes:
        indices: int64 (N,): the explained test images, in display order.
        predicted_nhw, true_nhw: float32 (N, H, W) in [0, 1]: their maps for the predicted and for the true class.
        params: of :class:`~.params.ExplainParams`, as JSON has them.
        model: "sha256:..." of the explained model's file.
        shortcut: facts of :func:`~.shortcut_maps.explain_shortcut`; None where no shortcut was planted.
        shortcut_nhw: float32 (M, H, W): the maps of the ``examples`` among those facts.
    """

    indices: NDArray[np.int64]
    predicted_nhw: NDArray[np.float32]
    true_nhw: NDArray[np.float32]
    params: dict[str, Any]
    model: str
    shortcut: dict[str, Any] | None
    shortcut_nhw: NDArray[np.float32]


def is_blank(cams_nhw: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Tell which maps say nothing (bool (N,)): no place speaks for the class more than any other."""
    blank: NDArray[np.bool_] = np.ptp(cams_nhw, axis=(1, 2)) == 0
    return blank


def describe_cams(cams: Cams) -> dict[str, Any]:
    """Everything but the arrays, JSON-able."""
    return {name: value for name, value in vars(cams).items() if name not in _ARRAYS}


def cams_to_bytes(cams: Cams) -> bytes:
    """The content of a ``.safetensors`` file; equal maps give equal bytes.

    One metadata key only: safetensors writes several in random order.
    """
    arrays = {name: np.ascontiguousarray(getattr(cams, name)) for name in _ARRAYS}
    return save(arrays, metadata={"cams": json.dumps(describe_cams(cams), sort_keys=True)})


def load_cams(path: Path) -> Cams:
    with safe_open(path, framework="numpy") as file:
        arrays = {name: file.get_tensor(name) for name in _ARRAYS}
        return Cams(**arrays, **json.loads(file.metadata()["cams"]))
