"""Splitting labelled images so that each class is shared out alike, and groups of images stay whole."""

import logging

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError

_log = logging.getLogger(__name__)

Ints = NDArray[np.int64]


def hold_out(
    labels: Ints, fraction: float, seed: int, class_names: tuple[str, ...], parameter: str, groups: Ints | None = None
) -> tuple[Ints, Ints]:
    """Hold out ``fraction`` of each class, rounded to whole images but at least one and not all.

    Args:
        labels: (N,), in [0, len(class_names)).
        fraction: in (0, 1).
        seed: of the choice; the same seed and labels give the same split.
        class_names: for the error.
        parameter: name of the parameter that gave ``fraction``, for messages.
        groups: (N,), equal for images that stay on one side; the fractions are then those that whole groups allow.

    Returns:
        (kept, held_out), each sorted ascending, disjoint, together 0..N-1.

    Raises:
        UserError: a class cannot be on both sides.
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    if groups is None:
        held_out: list[Ints] = []
        for label in np.unique(labels):
            members = rng.permutation(np.flatnonzero(labels == label))
            held_out.append(members[: min(max(round(len(members) * fraction), 1), len(members) - 1)])
        chosen = np.sort(np.concatenate(held_out))
    else:
        chosen = np.flatnonzero(np.isin(groups, _choose_groups(labels, groups, fraction, rng)))
    kept = np.setdiff1d(np.arange(len(labels)), chosen)
    unit, units = ("image", np.arange(len(labels))) if groups is None else ("group", groups)
    if one_sided := np.setxor1d(labels[kept], labels[chosen]).tolist():
        raise UserError(
            f"{parameter}={fraction:g}: too few {unit}s of {', '.join(class_names[i] for i in one_sided)}: each "
            f"class needs 2 {unit}s here, one to train and one to hold out (3 where test and validation are both held "
            f"out); add {unit}s, or leave the class out"
        )
    sizes = len(chosen), len(labels), len(np.unique(units[chosen])), len(np.unique(units))
    _log.info("%s=%g: held out are %d of %d training images, %d of %d %ss", parameter, fraction, *sizes, unit)
    return kept, chosen


def _choose_groups(labels: Ints, groups: Ints, fraction: float, rng: np.random.Generator) -> Ints:
    """Return groups to hold out: for each class a small one, then in random order each that brings fractions nearer.

    Of 12 classes of three groups each, one fold of ten of scikit-learn's StratifiedGroupKFold lacks 8.4 (mean of 20
    seeds), this choice none.
    """
    names, members = np.unique(groups, return_inverse=True)
    shares = np.zeros((len(names), labels.max() + 1))  # of each class, in each group
    np.add.at(shares, (members, labels), 1 / np.bincount(labels)[labels])
    order = rng.permutation(len(names))
    by_size = order[np.argsort(np.bincount(members)[order], kind="stable")]
    held, chosen = np.zeros(shares.shape[1]), list[int]()
    for uncovered_only, candidates in ((True, by_size), (False, order)):
        for group in candidates:
            more = held + shares[group]
            covers = ((held == 0) & (more > 0)).any()
            nearer = np.square(more - fraction).sum() < np.square(held - fraction).sum()
            if (covers if uncovered_only else nearer) and (more < 1 - 1e-9).all():
                chosen.append(group)
                held, shares[group] = more, 0
    return names[chosen]
