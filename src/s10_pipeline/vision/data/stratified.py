"""Splitting labelled images so that each class is shared out alike."""

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError

Ints = NDArray[np.int64]


def stratified_split(
    labels: Ints, fraction: float, seed: int, class_names: tuple[str, ...], parameter: str, at_least_one: bool = False
) -> tuple[Ints, Ints]:
    """Hold out ``fraction`` of each class, rounded to whole images.

    Args:
        labels: (N,), in [0, len(class_names)).
        fraction: in (0, 1).
        seed: of the choice; the same seed and labels give the same split.
        class_names: for the error.
        parameter: name of the parameter that gave ``fraction``, for the error.
        at_least_one: hold out and keep at least one image of each class, whatever ``fraction`` is.

    Returns:
        (kept, held_out), each sorted ascending, disjoint, together 0..N-1.

    Raises:
        UserError: a class would have no image on one side.
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    held_out: list[Ints] = []
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        n = round(len(members) * fraction)
        if at_least_one:
            n = min(max(n, 1), len(members) - 1)
        if n in (0, len(members)):
            side = "held-out" if n == 0 else "remaining"
            raise UserError(
                f"{parameter}={fraction:g}: leaves class {class_names[label]} ({len(members)} images) without "
                f"{side} images; take a fraction nearer to one half, or add images of that class"
            )
        held_out.append(members[:n])
    chosen = np.sort(np.concatenate(held_out))
    return np.setdiff1d(np.arange(len(labels)), chosen), chosen
