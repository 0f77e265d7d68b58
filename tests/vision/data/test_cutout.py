import random

import albumentations as A
import numpy as np
import pytest

from s10_pipeline.vision.data.cutout import Cutout, PaddedRandomCrop

WHITE = np.full((32, 32, 3), 255, np.uint8)


def seeded(transform: A.BasicTransform, seed: int = 0) -> A.Compose:
    pipeline = A.Compose([transform])
    pipeline.set_random_state(np.random.default_rng(seed), random.Random(seed))
    return pipeline


def removed_pixels(transform: Cutout, image: np.ndarray, draws: int) -> np.ndarray:
    pipeline = seeded(transform)
    return np.array([(pipeline(image=image)["image"] == 0).all(-1).sum() for _ in range(draws)])


def test_removes_what_the_paper_removes():
    # a hole's centre is uniform over the 32 pixels of a side and the hole is clipped at the border, so its mean
    # extent is 32 * 16 / 32 less what hangs out: 14 of 16 pixels a side, 196 in all
    counts = removed_pixels(Cutout(size=16, p=1.0), WHITE, 4000)
    assert counts.max() == 256 and counts.min() == 64 and counts.mean() == pytest.approx(196, abs=3)


def test_a_hole_is_a_square_and_nothing_else_changes():
    image = np.random.default_rng(0).integers(1, 255, (32, 32, 3), dtype=np.uint8)
    before = image.copy()
    result = seeded(Cutout(size=8, p=1.0), seed=3)(image=image)["image"]
    hole = (result == 0).all(-1)
    rows, columns = np.flatnonzero(hole.any(1)), np.flatnonzero(hole.any(0))
    assert hole.sum() == len(rows) * len(columns) and (result[~hole] == image[~hole]).all()
    assert (image == before).all()


def test_a_fraction_follows_the_image():
    for side in (32, 64, 224):
        counts = removed_pixels(Cutout(size=0.5, p=1.0), np.full((side, side, 3), 255, np.uint8), 60)
        assert counts.max() <= (side // 2) ** 2 and counts.max() > 0.5 * (side // 2) ** 2


def test_number_of_holes_fill_and_probability():
    assert removed_pixels(Cutout(size=8, num_holes=3, p=1.0), WHITE, 200).max() > 64
    colour = seeded(Cutout(size=32, fill=(1, 2, 3), p=1.0))(image=WHITE)["image"]
    assert sorted(np.unique(colour).tolist()) == [1, 2, 3, 255]
    share = np.mean(removed_pixels(Cutout(size=16, p=0.25), WHITE, 2000) > 0)
    assert share == pytest.approx(0.25, abs=0.04)


@pytest.mark.parametrize("arguments", [{"size": 0}, {"size": 2.5}, {"num_holes": 0}, {"fill": 300}, {"p": 1.5}])
def test_impossible_arguments_are_refused(arguments):
    with pytest.raises(ValueError):
        Cutout(**arguments)


def test_padded_crop_moves_the_image_and_keeps_its_size():
    image = np.random.default_rng(0).integers(1, 255, (32, 32, 3), dtype=np.uint8)
    for reflect, mode in ((False, "constant"), (True, "reflect")):
        pipeline = seeded(PaddedRandomCrop(padding=4, reflect=reflect))
        padded = np.pad(image, [(4, 4), (4, 4), (0, 0)], mode)
        windows = np.lib.stride_tricks.sliding_window_view(padded, (32, 32, 3)).reshape(81, -1)
        looks = {pipeline(image=image)["image"].tobytes() for _ in range(500)}
        assert looks == {window.tobytes() for window in windows}
