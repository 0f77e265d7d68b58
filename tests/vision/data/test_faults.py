import numpy as np
import pytest
from pydantic import ValidationError

from s10_pipeline.vision.data.faults import FAULTS, parse_faults, plant_faults
from s10_pipeline.vision.data.params import IngestParams
from s10_pipeline.vision.data.sources import read_source
from s10_pipeline.vision.errors import UserError


def changed_rows(before, after) -> list[int]:
    pixels = (before.images_nhwc != after.images_nhwc).any((1, 2, 3))
    return np.flatnonzero(pixels | (before.labels != after.labels)).tolist()


@pytest.mark.parametrize("fault", ["labels:0.05", "labels_similar:.05"])
def test_a_share_of_labels_is_wrong_in_both_splits(shapes, fault):
    for before, after in zip(shapes, plant_faults(*shapes, fault, 0), strict=True):
        assert changed_rows(before, after) == after.source["faults"][fault]
        assert len(after.source["faults"][fault]) == round(0.05 * len(before))
        assert (before.images_nhwc == after.images_nhwc).all()


def test_similar_labels_are_those_of_the_class_that_looks_most_alike():
    train, test = read_source(IngestParams(source="shapes10"))
    wrong, _ = plant_faults(train, test, "labels_similar:0.1", 0)
    labels = zip(train.labels, wrong.labels, strict=True)
    pairs = {(train.class_names[k], train.class_names[j]) for k, j in labels if k != j}
    assert len(pairs) == 10, "one other class for each"
    assert {("star5", "star6"), ("star6", "star5"), ("pentagon", "hexagon")} <= pairs


@pytest.mark.parametrize("how", ["", ":reencoded", ":flipped", ":cropped"])
def test_leaked_test_images_are_among_the_training_images(shapes, how):
    train, test = plant_faults(*shapes, f"leak:7{how}", 0)
    rows, leaked = train.source["faults"][f"leak:7{how}"], test.source["faults"][f"leak:7{how}"]
    assert set(changed_rows(shapes[0], train)) <= set(rows) and (len(rows), len(leaked)) == (7, 7)
    assert changed_rows(shapes[1], test) == []
    copies, originals = train.images_nhwc[rows].astype(int), test.images_nhwc[leaked].astype(int)
    originals = originals[:, :, ::-1] if how == ":flipped" else originals
    nearest = np.abs(copies[:, None] - originals).mean((2, 3, 4)).min(1)
    assert nearest.max() <= {"": 0, ":reencoded": 12, ":flipped": 0, ":cropped": 40}[how]
    assert (nearest.max() > 0) == (how in (":reencoded", ":cropped"))


def test_duplicates_starving_and_shifts(shapes):
    fault = "starve:heart:5+duplicates:20+shift:brightness"
    train, test = plant_faults(*shapes, fault, 0)
    assert (train.labels == train.class_names.index("heart")).sum() == 5 and len(train) == 400 - 40 + 5
    _, copies = np.unique(train.images_nhwc, axis=0, return_counts=True)
    assert (copies == 2).sum() == 20 and set(train.source["faults"]) == set(fault.split("+"))
    assert test.images_nhwc.mean() < 0.7 * shapes[1].images_nhwc.mean() and (test.labels == shapes[1].labels).all()
    again, _ = plant_faults(*shapes, fault, 0)
    other, _ = plant_faults(*shapes, fault, 1)
    assert (again.images_nhwc == train.images_nhwc).all()
    assert not np.array_equal(other.images_nhwc, train.images_nhwc)


def test_every_source_plants_and_says_so():
    params = {"source": "shapes10", "shapes10": {"num_train_images": 40, "num_test_images": 20}, "plant": "shift:blur"}
    train, test = read_source(IngestParams.model_validate(params))
    assert all("shift:blur" in images.source["title"] for images in (train, test))
    assert test.source["faults"] == {"shift:blur": list(range(20))}


@pytest.mark.parametrize(
    "text", ["label:0.1", "labels:1", "labels:5", "leak:x", "leak:3:rotated", "shift:noise", "", "starve:3", "leak:0"]
)
def test_what_is_no_fault_is_refused_before_anything_runs(text):
    with pytest.raises(ValidationError, match="plant="):
        IngestParams(source="shapes10", plant=text)


@pytest.mark.parametrize("text", ["starve:hart:3", "starve:heart:41", "leak:121", "duplicates:300"])
def test_what_the_images_do_not_allow_is_refused_in_one_line(shapes, text):
    with pytest.raises(UserError, match=f"^ingest.plant={text.rpartition(':')[0]}"):
        plant_faults(*shapes, text, 0)


def test_names_with_a_plus_or_colon_are_names():
    assert parse_faults("starve:c++:d:9+labels:0.1") == [("starve", ["c++:d", "9"]), ("labels", ["0.1"])]
    assert len(FAULTS) == 6
