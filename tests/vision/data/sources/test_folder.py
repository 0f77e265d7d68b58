import logging
import os
import sys
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from PIL import Image

from s10_pipeline.vision.data.image_set import content_digest
from s10_pipeline.vision.data.params import IngestParams
from s10_pipeline.vision.data.resize import describe_rule, to_square_rgb
from s10_pipeline.vision.data.sources import folder, read_source
from s10_pipeline.vision.errors import UserError


def noise(height=32, width=None, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width or height, 3), np.uint8)


def save(file, pixels=None, **options):
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(noise() if pixels is None else pixels).save(file, **options)


def make_split(root, names=("cat", "ant", "bee")):
    """Three images of each class in train, one in test, each with its own pixels; made in no particular order."""
    for c, name in enumerate(names):
        for i in (2, 0, 1):
            save(root / "train" / name / f"{i}.png", noise(seed=10 * c + i))
        save(root / "test" / name / "t.png", noise(seed=10 * c + 9))


def make_classes(root, num_images=10, names=("cat", "ant", "bee")):
    for c, name in enumerate(names):
        for i in range(num_images):
            save(root / name / f"{i:02}.png", noise(seed=100 * c + i))


def read(root, **params):
    return read_source(IngestParams(source="folder", path=str(root), **params))


def equal(a, b):
    return (content_digest(a), a.paths, a.source) == (content_digest(b), b.paths, b.source)


def test_train_and_test_folders(tmp_path):
    make_split(tmp_path)
    save(tmp_path / "train/ant/deep/er.MPO", noise(100, 60))
    train, test = read(tmp_path, image_size=48)
    assert train.class_names == test.class_names == ("ant", "bee", "cat")
    assert train.paths[2:5] == ("train/ant/2.png", "train/ant/deep/er.MPO", "train/bee/0.png")
    assert test.paths == ("test/ant/t.png", "test/bee/t.png", "test/cat/t.png")
    assert train.labels.tolist() == [0, 0, 0, 0, 1, 1, 1, 2, 2, 2] and train.labels.dtype == np.int64
    assert test.labels.tolist() == [0, 1, 2]
    for result, path in zip(train.images_nhwc, train.paths, strict=True):
        np.testing.assert_array_equal(result, to_square_rgb(Image.open(tmp_path / path), 48))


def test_the_split_is_seeded_stratified_and_complete(tmp_path):
    make_classes(tmp_path)
    train, test = read(tmp_path, test_fraction=0.3, seed=1)
    again, _ = read(tmp_path, test_fraction=0.3, seed=1)
    other, _ = read(tmp_path, test_fraction=0.3, seed=2)
    assert np.bincount(test.labels).tolist() == [3, 3, 3] and np.bincount(train.labels).tolist() == [7, 7, 7]
    assert sorted(train.paths + test.paths) == [f"{c}/{i:02}.png" for c in ("ant", "bee", "cat") for i in range(10)]
    assert equal(train, again) and train.paths != other.paths and list(train.paths) == sorted(train.paths)


def test_the_result_does_not_depend_on_the_order_of_the_file_system(tmp_path, monkeypatch):
    make_classes(tmp_path)
    train, test = read(tmp_path)
    walk, iterdir = os.walk, folder.Path.iterdir
    monkeypatch.setattr(os, "walk", lambda top, **_: [(a, b[::-1], c[::-1]) for a, b, c in walk(top)][::-1])
    monkeypatch.setattr(folder.Path, "iterdir", lambda self: iter(list(iterdir(self))[::-1]))
    turned_train, turned_test = read(tmp_path)
    assert equal(train, turned_train) and equal(test, turned_test)


def put(root, *names):
    for name in names:
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(b"no image")


# what lies beside nine training images, or is taken away -> level and facts of the one line that tells it
TOLD = {
    "without an image's extension": (
        lambda root: put(root, "readme.md", *(f"train/ant/{n}" for n in ("a.txt", ".DS_Store", "._0.png", ".x.jpg"))),
        logging.INFO, ["4 files in train/ant "],
    ),
    "images that are not decoded": (
        lambda root: put(root, *(f"train/{name}" for name in ("ant/1.heic", "ant/2.HEIC", "bee/3.jxl", "bee/4.eps"))),
        logging.WARNING, ["train/", "2 .heic", "1 .jxl", "1 .eps", "convert"],
    ),
    "images outside class folders": (
        lambda root: put(root, "train/1.png", "train/2.jpg", "train/.3.png"),
        logging.WARNING, ["outside class folders (2)", "train/"],
    ),
    "a class in train alone": (
        lambda root: (root / "test/ant/t.png").unlink(), logging.WARNING, ["no test images of ant"]
    ),
    "other folders": (
        lambda root: put(root, "val/ant.png", "train/__MACOSX/x", "train/.x/x"), logging.INFO, ["not val"]
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", TOLD)
def test_what_is_not_read_is_told(tmp_path, caplog, case):
    change, level, facts = TOLD[case]
    caplog.set_level(logging.INFO)
    make_split(tmp_path)
    change(tmp_path)
    train, test = read(tmp_path)
    assert (len(train), len(test)) == (9, 2 if "alone" in case else 3)
    (record,) = [record for record in caplog.records if facts[0] in record.getMessage()]
    assert record.levelno >= level and all(fact in record.getMessage() for fact in facts)


def test_a_class_folder_may_be_a_link(tmp_path):
    make_split(tmp_path / "real")
    (tmp_path / "some").mkdir()
    for name in ("ant", "bee"):
        (tmp_path / "some" / name).symlink_to(tmp_path / "real" / "train" / name)
    (tmp_path / "linked").symlink_to(tmp_path / "some")
    assert read(tmp_path / "linked")[0].class_names == ("ant", "bee")


def test_the_source_is_described_without_absolute_paths(tmp_path):
    make_split(tmp_path / "split")
    make_classes(tmp_path / "pets")
    split, _ = read(tmp_path / "split", seed=3)
    train, test = read(tmp_path / "pets", seed=3)
    parameters = {"source": "folder", "image_size": 32}
    assert split.source["parameters"] == parameters
    told = {"name": "folder", "split": "train", "title": "pets: a folder of images", "resize": describe_rule((32, 32))}
    told |= {"checksum": train.source["checksum"], "parameters": {**parameters, "seed": 3, "test_fraction": 0.2}}
    assert (train.source, test.source) == (told, {**told, "split": "test"})


def test_the_checksum_is_of_paths_and_contents_and_not_of_the_place(tmp_path):
    for name in "abcd":
        make_split(tmp_path / name)
    save(tmp_path / "c" / "test" / "ant" / "t.png", noise(seed=77))
    (tmp_path / "d" / "test" / "ant" / "t.png").rename(tmp_path / "d" / "test" / "ant" / "u.png")
    a, b, c, d = (read(tmp_path / name)[0].source["checksum"] for name in "abcd")
    assert a == b and a.startswith("sha256:") and len({a, c, d}) == 3


# what is done to three classes, split or not -> what is said
REFUSED = {
    "no such folder": (
        False, lambda root: root.rename(root.with_name("x")), "^ingest.path=.*: .*; give .*train/<class>/"
    ),
    "a file": (False, lambda root: [root.rename(root.with_name("x")), root.touch()], "is a file"),
    "no class folders": (
        False, lambda root: [root.rename(root.with_name("x")), save(root / "x.png")], "^ingest.path=.*no class folders;"
    ),
    "one class of a split": (
        True, lambda root: [path.rename(root.with_name(path.parent.name + path.name)) for path in root.glob("*/[ab]*")],
        r"one class only \(cat\)",
    ),
    "an empty class": (False, lambda root: (root / "dog").mkdir(), "class folder dog .*; add .*remove"),
    "a class of images that are not decoded": (
        False, lambda root: (root / "dog").mkdir() or (root / "dog/1.heic").touch(), "class folder dog .*; add"
    ),
    "a single image": (False, lambda root: save(root / "dog/1.png"), "too few images of dog: each class needs 2 im"),
    "a class in test alone": (True, lambda root: save(root / "test/Cat/1.png"), r"test/ .*\(Cat\); "),
    "no test images": (
        True, lambda root: [path.unlink() for path in root.glob("test/*/*")], "test/ has no images in class folders"
    ),
    "PostScript": (True, lambda root: save(root / "train/bee/1.png", format="EPS"), r"train/bee/1.png: not an image"),
    "a decompression bomb": (
        True, lambda root: save(root / "train/bee/1.png", noise(200)),
        r"train/bee/1.png: not a readable image \(.*bomb.*\); remove or replace",
    ),
    "a file name that is no text": (
        True, lambda root: (root / "train/bee/0.png").rename(root / "train/bee" / os.fsdecode(b"caf\xe9.png")),
        r"'train/bee/caf\\udce9.png': not a UTF-8 name",
    ),
    "no test folder": (
        True, lambda root: (root / "test").rename(root / "dev"),
        r"has train/<class>/ but no test/; .* or give ingest.path=.*/train to ",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_wrong_with_a_folder_is_said(tmp_path, monkeypatch, case):
    split, change, message = REFUSED[case]
    (make_split if split else make_classes)(tmp_path / "pets")
    if "no text" in case and sys.platform != "linux":
        pytest.skip("other file systems take only UTF-8 names")
    change(tmp_path / "pets")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10_000)
    with pytest.raises(UserError, match=message):
        read(tmp_path / "pets")


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("Train", "TEST"), ("Training", "Testing"), ("seg_train", "seg_test"), ("training_set", "test_set"),
        ("TrainData", "test-images"), ("train2017", "test2017"), ("flowers.train", "flowers.test"),
    ],
)  # fmt: skip
def test_the_usual_words_for_train_and_test(tmp_path, caplog, train, test):
    make_split(tmp_path)
    (tmp_path / "train").rename(tmp_path / train)
    (tmp_path / "test").rename(tmp_path / test)
    save(tmp_path / "Validation" / "ant" / "1.png")
    caplog.set_level("INFO")
    sets = read(tmp_path)
    assert [images.class_names for images in sets] == [("ant", "bee", "cat")] * 2
    assert [len(images) for images in sets] == [10, 3]
    assert "10 training images of 3 classes, images per class: ant 4, bee 3, cat 3" in caplog.text
    assert sets[0].validation.nonzero()[0].tolist() == [9] and sets[0].paths[9] == "Validation/ant/1.png"
    assert sets[1].validation is None


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (("fold1", "fold2"), r"fold1 and fold2 .* same name \(ant\)"),
        (("2019", "2020", "2021"), "which are the classes"),
        (("train/a", "train/b", "test/a"), "train/: a and b contain no images"),
        (("seg_train", "dev"), "has seg_train/<class>/ but no test/"),
        (("testing", "validation"), "has validation/<class>/ but no train/"),
        (("train", "val", "valid"), "train, val, valid all look like"),
        (("train_clean", "train_other", "test"), "train_clean, train_other, test all look like"),
        (("train/1.png", "val/1.png"), "train, val look like split folders, but .* in train, val;"),
        (("Training", "Training/1.png", "Testing", "Testing/1.png"), "but images lie directly in Testing, Training;"),
        (("train", "train/1.png", "val"), "train, val look like split folders, but .* in train;"),
    ],
)
def test_folders_that_may_be_splits_or_classes(tmp_path, folders, message):
    for name in folders:
        save(tmp_path / name) if name.endswith(".png") else make_classes(tmp_path / name, num_images=2)
    with pytest.raises(UserError, match=message):
        read(tmp_path)


@pytest.mark.parametrize(
    "names", [("bus", "train", "__none__"), ("bullet train", "test tube"), ("contest", "valley", "strain")]
)
def test_a_class_may_be_called_train(tmp_path, names):
    make_classes(tmp_path, names=names)
    for name in ("contest/in/here.png", "valley/deeper/there.png", "contest/two.png", "valley/two.png"):
        save(tmp_path / name)
    assert set(names) <= set(read(tmp_path)[0].class_names)


def test_a_folder_above_the_classes_that_cannot_be_listed(tmp_path, monkeypatch):
    refused = PermissionError(13, "Permission denied", str(tmp_path))
    monkeypatch.setattr(Path, "iterdir", Mock(side_effect=refused))
    with pytest.raises(UserError, match=r"^ingest.path=.*: cannot list .* \(Permission denied\); make it readable$"):
        read(tmp_path)
