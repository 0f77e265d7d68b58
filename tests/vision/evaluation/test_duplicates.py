import dataclasses
import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from s10_pipeline.vision.data.image_set import ImageSet
from s10_pipeline.vision.data.sources.shapes10 import draw
from s10_pipeline.vision.evaluation import duplicates
from s10_pipeline.vision.evaluation.duplicates import COLUMNS, COPY, find_copies, find_near_duplicates
from s10_pipeline.vision.evaluation.judge import judge_duplicates


def image_set(images: np.ndarray, names: tuple[str, ...] = ("a", "b")) -> ImageSet:
    return ImageSet(images, np.arange(len(images)) % len(names), names)


def copies(train: ImageSet, test: ImageSet, min_similarity: float) -> pd.DataFrame:
    return find_copies(train, np.arange(len(train)), test, np.arange(len(test)), min_similarity)


def as_jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


@pytest.fixture(scope="module")
def scenes():
    """300 smooth scenes with some detail, all on the same bright-to-dark ground."""
    rng = np.random.default_rng(0)
    coarse = rng.uniform(-50, 50, (300, 12, 12, 3)).repeat(3, 1).repeat(3, 2)[:, :32, :32]
    ground = np.linspace(220, 60, 32)[:, None, None]
    return (ground + coarse).clip(0, 255).astype(np.uint8)


def test_finds_altered_copies_and_nothing_else(scenes):
    train, test = scenes[:200], scenes[200:].copy()
    test[7] = as_jpeg(train[150], 60)
    test[20] = (0.7 * train[3].astype(float) + 40).clip(0, 255)  # paler
    test[33] = np.abs(train[9] - np.array([0, 255, 0]))  # the same outlines in other colours
    test[50] = train[0]
    test[60] = as_jpeg(train[30][:, ::-1], 75)
    found = copies(image_set(train), image_set(test), 0.85)
    assert dict(zip(found["index"], found["train_index"], strict=True)) == {50: 0, 20: 3, 7: 150, 60: 30}
    assert found["similarity"].is_monotonic_decreasing
    assert found["similarity"].iloc[0] == pytest.approx(1, abs=1e-5)
    row = found[found["index"] == 7].iloc[0]
    assert (row["label_name"], row["train_label_name"]) == ("b", "a")
    assert list(found.columns) == list(COLUMNS[1:])
    assert found.loc[found["mirrored"], "index"].tolist() == [60]


def test_handwritten_digits_look_alike_but_are_no_copies():
    """236 of these 500 reach 0.91, and none is a copy."""
    digits = load_digits()
    drawn = [Image.fromarray((16 * of.clip(max=15)).astype(np.uint8)).resize((32, 32)) for of in digits.images]
    shuffled = np.random.default_rng(0).permutation(len(drawn))
    images = image_set(np.stack([np.asarray(of.convert("RGB")) for of in drawn])[shuffled])
    found = find_copies(images, np.arange(1297), images, np.arange(1297, 1797), 0.85).assign(split="test")
    assert (found["similarity"] >= COPY).sum() > 100
    metrics = {"num_test_images": 500, "num_val_images": 130, "num_near_duplicates": len(found)}
    metrics["test_accuracy_without_near_duplicates"] = 0.9
    judged = judge_duplicates(found, metrics)
    assert (judged.verdict, list(judged.items)) == ("unknown", [])
    assert judged.low < judged.value < judged.high


@pytest.mark.parametrize(("num_test", "block"), [(1, 2**24), (3, 2**24), (100, 2**24), (50, 512 * 17)])
def test_steps_and_blocks_are_small_and_change_nothing(scenes, monkeypatch, num_test, block):
    """However few test images: the thumbnails of all training images at once would take gigabytes."""
    train, test = image_set(scenes), image_set(scenes[:num_test].copy())
    whole = copies(train, test, 0.85)
    at_once, details = [], duplicates._details
    monkeypatch.setattr(duplicates, "_STEP", 64)
    monkeypatch.setattr(duplicates, "_BLOCK", block)
    monkeypatch.setattr(duplicates, "_details", lambda images: (at_once.append(len(images)), details(images))[1])
    found = copies(train, test, 0.85)
    assert at_once == [num_test, 64, 64, 64, 64, 44] if block == 2**24 else max(at_once) == 64
    assert len(whole) == num_test
    # rounding orders the most similar ones, which are all at 1
    by_index = [table.sort_values("index", ignore_index=True) for table in (found, whole)]
    pd.testing.assert_frame_equal(*by_index, rtol=1e-5)


@pytest.mark.parametrize("size", [8, 50])
def test_other_sizes(size):
    images = np.random.default_rng(0).integers(0, 256, (20, size, size, 3), dtype=np.uint8)
    found = copies(image_set(images), image_set(images[5:8].copy()), 0.99)
    assert sorted(found["train_index"]) == [5, 6, 7]


def test_images_without_detail_are_copies_of_nothing():
    flat = np.full((4, 32, 32, 3), 90, np.uint8)
    assert copies(image_set(flat), image_set(flat.copy()), 0.1).empty


def test_where_none_are_looked_for_the_table_is_as_elsewhere(data):
    given = (data.train_images, data.test_images, data.train_set, data.val_set)
    nothing, none_found = find_near_duplicates(*given, None), find_near_duplicates(*given, 1.0)
    assert nothing.empty and none_found.empty
    assert nothing.dtypes.to_dict() == none_found.dtypes.to_dict()


def test_equal_outlines_are_no_copies():
    images = [draw(n, 32, 0, split=split)[0] for n, split in ((4000, "train"), (1000, "test"))]
    assert copies(*map(image_set, images), 0.85).empty


def test_validation_images_are_compared_with_those_that_were_trained_on(shapes, data):
    train, test = shapes
    pixels = train.images_nhwc.copy()
    (one, other), val = data.train_set.indices[:2], data.val_set.indices
    pixels[val[:2]] = pixels[[one, val[5]]]  # the second is a copy of another validation image
    leaky = dataclasses.replace(train, images_nhwc=pixels)
    shown = dataclasses.replace(test, images_nhwc=np.concatenate([pixels[[other]], test.images_nhwc[1:]]))
    # rounding makes exact copies less similar than 1, the highest limit that can be given
    found = find_near_duplicates(leaky, shown, data.train_set, data.val_set, 1.0)
    rows = found[["split", "index", "train_index"]].to_numpy().tolist()
    assert rows == [["test", 0, other], ["val", val[0], one]]
