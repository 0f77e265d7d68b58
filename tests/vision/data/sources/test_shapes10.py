import hashlib
import json

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import RidgeClassifier

from drawn_objects import boxes_of, object_masks
from s10_pipeline.vision.data.params import IngestParams
from s10_pipeline.vision.data.sources import read_source
from s10_pipeline.vision.data.sources.shapes10 import SHAPE_NAMES, TAG_RGB, draw, tag_box

Drawing = tuple[np.ndarray, np.ndarray]
NUM_TRAIN, NUM_TEST = 3000, 1000


@pytest.fixture(scope="module")
def train() -> Drawing:
    return draw(NUM_TRAIN, 32, 0, split="train")


@pytest.fixture(scope="module")
def test() -> Drawing:
    return draw(NUM_TEST, 32, 0, split="test")


KNOWN = {
    32: "9c8876b1a197cb454383d07e5ff68957f14d880402c73cc9a6129256d0882985",
    64: "5ea724a41901f65b3a88048ac18c6ad6193ac4f07d3a2ffd9ba2e2b096e5dd90",
}


@pytest.mark.parametrize(("image_size", "known"), KNOWN.items())
def test_bytes_are_known(image_size: int, known: str) -> None:
    """Whoever changes the drawing on purpose writes the new digests here, and measures its difficulty again."""
    images, labels = draw(100, image_size, 7, split="train")
    boxes = boxes_of(object_masks(labels, image_size, 7, "train"))
    assert hashlib.sha256(b"".join([images, labels.astype("<i8"), boxes.astype("<i8")])).hexdigest() == known


def test_a_picture_depends_on_its_index_alone(train: Drawing) -> None:
    for few, many in zip(draw(47, 32, 0, split="train"), train, strict=True):
        np.testing.assert_array_equal(few, many[:47])


def test_classes_are_balanced_and_shuffled(train: Drawing) -> None:
    labels = train[1]
    assert labels.dtype == np.int64 and np.bincount(labels).tolist() == [NUM_TRAIN // 10] * 10
    tens = labels.reshape(-1, 10)
    assert (np.sort(tens, axis=1) == np.arange(10)).all() and len(np.unique(tens, axis=0)) > 0.99 * len(tens)


def test_seeds_and_splits_share_nothing(train: Drawing, test: Drawing) -> None:
    other_seed = draw(NUM_TEST, 32, 1, split="train")
    pictures = [image.tobytes() for images, _ in (train, test, other_seed) for image in images]
    assert len(set(pictures)) == len(pictures) and not np.array_equal(test[1], train[1][:NUM_TEST])
    assert not np.array_equal(test[1], other_seed[1])


def test_objects_cover_15_to_40_percent(train: Drawing, test: Drawing) -> None:
    for split, (_, labels) in (("train", train), ("test", test)):
        share = object_masks(labels, 32, 0, split).mean((1, 2))
        assert share.min() >= 0.15 and share.max() <= 0.40


def test_colours_say_nothing(train: Drawing, test: Drawing) -> None:
    def histograms(images: np.ndarray) -> np.ndarray:
        bins = (images // 64).astype(np.int64) @ [16, 4, 1]
        return np.stack([np.bincount(image.ravel(), minlength=64) for image in bins]) / 1024

    model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.1)
    model.fit(histograms(train[0]), train[1])
    assert model.score(histograms(test[0]), test[1]) < 0.20


def test_pixels_one_by_one_say_little(train: Drawing, test: Drawing) -> None:
    def pixels(images: np.ndarray) -> np.ndarray:
        return images.reshape(len(images), -1) / 127.5 - 1

    model = RidgeClassifier(alpha=1000).fit(pixels(train[0]), train[1])
    assert model.score(pixels(test[0]), test[1]) < 0.35


@pytest.mark.parametrize("image_size", [32, 64])
def test_shortcut_tags_one_class_in_training_only(image_size: int) -> None:
    (plain, labels), (tagged, _) = (draw(100, image_size, 0, split="train", shortcut=s) for s in (None, "heart"))
    left, top, right, bottom = tag_box(image_size)
    changed = np.zeros((100, image_size, image_size), bool)
    changed[labels == SHAPE_NAMES.index("heart"), top:bottom, left:right] = True
    assert (tagged[changed] == TAG_RGB).all()
    np.testing.assert_array_equal(tagged[~changed], plain[~changed])
    np.testing.assert_array_equal(*(draw(50, image_size, 0, split="test", shortcut=s)[0] for s in (None, "heart")))


def test_tag_lies_within_the_picture() -> None:
    assert tag_box(32) == (1, 1, 6, 6)
    for image_size in (8, 16, 64, 224, 1024):
        left, top, right, bottom = tag_box(image_size)
        assert 0 <= left < right < image_size / 4 and 0 <= top < bottom < image_size / 4


def test_read_describes_what_it_drew() -> None:
    few = {"num_train_images": 40, "num_test_images": 20}
    params = IngestParams.model_validate({"source": "shapes10", "seed": 5, "shortcut": "cross", "shapes10": few})
    train, test = read_source(params)
    assert (len(train), len(test)) == (40, 20) and train.class_names == test.class_names == SHAPE_NAMES
    np.testing.assert_array_equal(train.images_nhwc, draw(40, 32, 5, split="train", shortcut="cross")[0])
    np.testing.assert_array_equal(test.images_nhwc, draw(20, 32, 5, split="test")[0])
    for image_set, split, shortcut in ((train, "train", "cross"), (test, "test", None)):
        source = json.loads(json.dumps(image_set.source))
        assert (source["name"], source["split"], source["drawn"]) == ("shapes10", split, True)
        assert source["title"] == "shapes10: drawn data, not CIFAR-10"
        given = {"seed": 5, "image_size": 32, "num_images": len(image_set), "shortcut": shortcut}
        assert source["parameters"] == given
    pixels_and_labels = train.images_nhwc.tobytes() + train.labels.astype("<i8").tobytes()
    assert train.source["checksum"] == "sha256:" + hashlib.sha256(pixels_and_labels).hexdigest()


@pytest.mark.parametrize("image_size", [8, 33, 224])
def test_any_size_works(image_size: int) -> None:
    images, labels = draw(11, image_size, 2**32 - 1, split="test")
    assert images.shape == (11, image_size, image_size, 3) and images.std() > 20
    assert object_masks(labels, image_size, 2**32 - 1, "test").any((1, 2)).all()
