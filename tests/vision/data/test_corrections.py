import sys
from dataclasses import replace

import numpy as np
import pytest

from s10_pipeline.vision.data.corrections import COLUMNS, apply_corrections, pixels_sha256
from s10_pipeline.vision.data.image_set import ImageSet, content_digest
from s10_pipeline.vision.errors import UserError

RNG = np.random.default_rng(0)
SOURCE = {"checksum": "sha256:abc", "faults": {"labels:0.5": [1, 3]}}
TRAIN = ImageSet(
    RNG.integers(0, 256, (6, 8, 8, 3), np.uint8), np.array([0, 1, 0, 1, 0, 1]), ("cat", "dog, wild"),
    tuple(f"{i}.png" for i in range(6)), SOURCE,
)  # fmt: skip
TRAIN.images_nhwc[5] = TRAIN.images_nhwc[2]  # the same picture under two labels
SPLIT = replace(TRAIN, validation=np.arange(6) == 3)
TEST = ImageSet(RNG.integers(0, 256, (2, 8, 8, 3), np.uint8), np.array([0, 1]), TRAIN.class_names)


def row(index: int, action: str, label: str = "", split: str = "train", images: ImageSet = TRAIN) -> list[str]:
    return [split, str(index), f"{index}.png", pixels_sha256(images.images_nhwc[index]), action, label]


@pytest.fixture
def correct(tmp_path):
    def apply(*rows, first="# images of sha256:abc", header=COLUMNS, file=tmp_path / "corrections.csv", train=TRAIN):
        lines = [",".join(f'"{cell}"' for cell in cells) for cells in (header, *rows)]
        (tmp_path / "corrections.csv").write_text("\n".join([first, *lines]), "utf-8-sig")
        return apply_corrections(train, TEST, str(file))

    return apply


def test_labels_and_images_are_corrected(correct):
    before = content_digest(TRAIN)
    rows = [row(0, "keep"), row(1, "relabel", "cat", "val"), row(3, "drop")]
    after = correct(*rows, row(0, "keep"))
    assert after.labels.tolist() == [0, 0, 0, 0, 1] and after.paths == ("0.png", "1.png", "2.png", "4.png", "5.png")
    assert (after.images_nhwc == TRAIN.images_nhwc[[0, 1, 2, 4, 5]]).all()
    assert after.source["corrections"] == {"kept": 1, "relabelled": 1, "dropped": 1, "rows": rows}
    assert after.source["faults"] == {"labels:0.5": [1]}, "3 was dropped"
    assert content_digest(after) != before == content_digest(TRAIN)


def test_a_choice_is_about_all_images_with_these_pixels(correct):
    after = correct(row(2, "relabel", "dog, wild"))
    assert after.labels.tolist() == [0, 1, 1, 1, 0, 1] and after.source["corrections"]["relabelled"] == 2
    assert len(correct(row(2, "drop"))) == 4


def test_a_second_round_goes_on_from_the_first(correct):
    """The report's file has the first rows too, and indices of a smaller set: the digest alone counts."""
    first = correct(row(0, "drop"), row(1, "relabel", "cat"))
    second = row(3, "relabel", "cat", images=first)  # the fourth of those that are left, the fifth of the source
    assert correct(*first.source["corrections"]["rows"], second).labels.tolist() == [0, 0, 1, 0, 1]
    assert second[3] == row(4, "keep")[3]


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        ([], {"file": "/nowhere/c.csv"}, r"=/nowhere/c.csv: No such file or directory; give the corrections.csv"),
        ([], {"file": "/"}, "not a regular file"),
        ([], {"file": sys.executable}, "utf-8.*; give the corrections.csv"),
        ([], {"header": ("file", "label")}, "has the columns file,label instead of split,index,path,pixels_sha256,"),
        ([row(0, "keep")], {"first": "# images of sha256:xyz"}, "does not name the checksum of these images"),
        ([row(0, "keep"), row(0, "drop")], {}, "line 4: drop, but a line above has keep for the same image; remove"),
        ([row(1, "relabel", "cat"), row(1, "relabel", "dog, wild")], {}, "line 4: relabel dog, wild, but a line above"),
        ([row(0, "delete")], {}, "line 3: action=delete: no such action"),
        ([row(0, "relabel", "dgo, wild")], {}, "label=dgo, wild: no such class; did you mean dog, wild"),
        ([row(0, "keep", split="test")], {}, "line 3: corrects a test image.*remove the line"),
        ([row(1, "relabel", "cat", images=TEST)], {}, "line 3: corrects a test image"),
        ([["train", "0", "", "0" * 64, "keep", ""]], {}, "000: no training image has these pixels; remove the line"),
        ([row(i, "drop") for i in range(6)], {}, "drops every training image; keep some"),
        ([row(3, "drop")], {"train": SPLIT}, "drops every validation image; keep some"),
        ([row(i, "drop") for i in (0, 1, 2, 4)], {"train": SPLIT}, "drops every training image; keep some"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_in_one_line(correct, rows, options, message):
    with pytest.raises(UserError, match=message) as refused:
        correct(*rows, **options)
    assert str(refused.value).startswith("ingest.corrections=") and "\n" not in str(refused.value)
