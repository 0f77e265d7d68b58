import numpy as np
import pytest

from s10_pipeline.vision.data.stratified import stratified_split
from s10_pipeline.vision.errors import UserError

LABELS = np.repeat(np.arange(3), [100, 50, 10])
NAMES = ("cat", "dog", "owl")


def split(fraction: float, seed: int = 0, labels: np.ndarray = LABELS) -> tuple[np.ndarray, np.ndarray]:
    return stratified_split(labels, fraction, seed, NAMES, "augment.val_fraction")


def test_each_class_gives_its_share():
    kept, held_out = split(0.1)
    assert np.bincount(LABELS[held_out]).tolist() == [10, 5, 1]
    assert sorted([*kept, *held_out]) == list(range(160))
    assert (np.diff(kept) > 0).all()
    assert (np.diff(held_out) > 0).all()


@pytest.mark.parametrize(("fraction", "side"), [(0.04, "held-out"), (0.96, "remaining")])
def test_a_class_without_images_on_one_side_is_an_error(fraction, side):
    with pytest.raises(UserError, match=rf"augment.val_fraction={fraction}: leaves class owl .* without {side} images"):
        split(fraction)
