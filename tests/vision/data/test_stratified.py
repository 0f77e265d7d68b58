import numpy as np
import pytest

from s10_pipeline.vision.data.stratified import hold_out
from s10_pipeline.vision.errors import UserError

LABELS = np.repeat(np.arange(3), [100, 50, 10])
NAMES = ("cat", "dog", "owl")


def split(fraction: float, seed: int = 0, labels: np.ndarray = LABELS, groups=None) -> tuple[np.ndarray, np.ndarray]:
    return hold_out(labels, fraction, seed, NAMES, "augment.val_fraction", groups)


def test_each_class_gives_its_share():
    kept, held_out = split(0.1)
    assert np.bincount(LABELS[held_out]).tolist() == [10, 5, 1]
    assert sorted([*kept, *held_out]) == list(range(160)) and (np.diff(kept) > 0).all()
    assert (np.diff(held_out) > 0).all()


@pytest.mark.parametrize(("fraction", "counts"), [(0.04, [4, 2, 1]), (0.96, [96, 48, 9]), (0.0001, [1, 1, 1])])
def test_a_rare_class_is_on_both_sides_and_changes_nothing_for_the_others(fraction, counts):
    assert np.bincount(LABELS[split(fraction)[1]]).tolist() == counts


@pytest.mark.parametrize(("labels", "groups", "unit"), [("00112", None, "image"), ("001122", "012344", "group")])
def test_too_few_to_divide_names_the_class_and_the_number(labels, groups, unit):
    labels, groups = (None if text is None else np.array(list(text), int) for text in (labels, groups))
    with pytest.raises(UserError, match=rf"=0.1: too few {unit}s of owl: each class needs 2 {unit}s here.*3 if.*; add"):
        split(0.1, labels=labels, groups=groups)


@pytest.mark.parametrize("fraction", [0.1, 0.2, 0.5])
@pytest.mark.parametrize("seed", range(5))
def test_groups_stay_whole_and_fractions_near(fraction, seed):
    rng = np.random.default_rng(seed)
    groups = rng.permutation(np.repeat(np.arange(120), rng.integers(1, 12, 120)))
    labels = rng.choice(3, 120, p=[0.6, 0.3, 0.1])[groups]  # one class per group, as patients have one diagnosis
    kept, held_out = split(fraction, seed, labels, groups)
    assert not set(groups[kept]) & set(groups[held_out])
    shares = np.bincount(labels[held_out]) / np.bincount(labels)
    assert (abs(shares - fraction) < 0.12).all() and abs(len(held_out) / len(labels) - fraction) < 0.05
    np.testing.assert_array_equal(split(fraction, seed, labels, groups)[1], held_out)


def test_a_class_of_two_groups_is_on_both_sides_without_raising_the_fraction_of_the_others():
    groups = np.repeat(np.arange(62), 5)
    labels = np.repeat([0] * 30 + [1] * 30 + [2] * 2, 5)
    held_out = split(0.1, labels=labels, groups=groups)[1]
    assert np.bincount(labels[held_out]).tolist() == [15, 15, 5]


@pytest.mark.parametrize("sizes", [[2, 2, 2, 2, 30], [1, 1, 1, 20]])
def test_groups_of_a_rare_class_suffice_for_a_second_hold_out(sizes):
    groups = np.repeat(np.arange(len(sizes) + 30), sizes + [5] * 30)
    labels = np.int64(groups >= len(sizes))
    for seed in range(5):
        kept, _ = split(0.2, seed, labels, groups)
        split(0.1, seed, labels[kept], groups[kept])
