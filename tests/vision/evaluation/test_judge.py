import numpy as np
import pandas as pd
import pytest

from s10_pipeline.vision.data.image_set import ImageSet
from s10_pipeline.vision.evaluation.classes import measure_classes
from s10_pipeline.vision.evaluation.judge import (
    judge_accuracy,
    judge_baseline,
    judge_calibration,
    judge_classes,
    judge_duplicates,
    judge_schedule,
    judge_shift,
    judge_shortcut,
)
from s10_pipeline.vision.evaluation.label_errors import find_label_errors, judge_labels
from s10_pipeline.vision.evaluation.metrics import compute_metrics

NAMES = ("cat", "dog", "eel")


def predicted(counts_kk: list[list[int]], sureness: float = 0.9) -> tuple[pd.DataFrame, dict]:
    """Predictions with this confusion matrix, and their metrics."""
    labels, predictions = (np.repeat(axis.ravel(), np.ravel(counts_kk)) for axis in np.indices((3, 3)))
    p_nk = np.full((len(labels), 3), (1 - sureness) / 2)
    p_nk[np.arange(len(labels)), predictions] = sureness
    table = pd.DataFrame({"index": np.arange(len(labels)), "label": labels, "prediction": predictions})
    table = pd.concat([table, pd.DataFrame(p_nk, columns=[f"p_{name}" for name in NAMES])], axis=1)
    metrics = compute_metrics(p_nk, labels, NAMES, 15)
    return table, metrics | {"temperature": 1.0, "val_accuracy": 0.9, "num_val_images": 400}


def train_labels(*counts: int) -> np.ndarray:
    return np.repeat(np.arange(3), counts)


def test_400_30_30_photos_where_one_class_is_never_recognised():
    """89 % may be no better than always saying cat: the model is right on two more of 92 images."""
    table, metrics = predicted([[80, 0, 0], [4, 2, 0], [6, 0, 0]])
    train = train_labels(320, 24, 24)
    baseline = judge_baseline(train, table)
    assert (baseline.verdict, baseline.n) == ("unknown", 92)
    assert baseline.value == pytest.approx(2 / 92)
    assert baseline.low < 0 < baseline.value < baseline.high
    assert "cat" in baseline.sentence
    starved = judge_classes(train, measure_classes(table))
    assert starved.verdict == "found"
    assert [item["class_name"] for item in starved.items] == ["dog", "eel"]
    assert starved.items[1]["recall"] == 0
    assert judge_accuracy(metrics).value == pytest.approx(82 / 92)


@pytest.mark.parametrize(
    ("rare_right", "common_wrong", "verdict"),
    [(8, 0, "not_found"), (5, 0, "unknown"), (8, 5, "unknown"), (0, 0, "found"), (3, 4, "found")],
)
def test_a_constant_guess_meets_the_model_on_the_same_images(rare_right, common_wrong, verdict):
    """Of 400 images, 380 are cats; 8 more right answers of 20 have p = 0.008 by McNemar's test."""
    table, _ = predicted([[380 - common_wrong, common_wrong, 0], [20 - rare_right, rare_right, 0], [0, 0, 0]])
    judged = judge_baseline(train_labels(380, 20, 1), table)
    assert judged.verdict == verdict
    assert judged.value == pytest.approx((rare_right - common_wrong) / 400)
    assert judged.low <= judged.value <= judged.high


def test_a_better_model_on_equal_classes_has_none_of_it():
    table, metrics = predicted([[90, 5, 5], [5, 90, 5], [5, 5, 90]])
    train = train_labels(300, 300, 290)
    assert judge_baseline(train, table).verdict == judge_classes(train, measure_classes(table)).verdict == "not_found"
    assert judge_accuracy(metrics).verdict == "found"


@pytest.mark.parametrize(
    ("counts", "train", "verdict"),
    [
        ([[50, 0, 0], [0, 50, 0], [50, 0, 0]], (100, 100, 100), "found"),  # eel is never predicted
        ([[50, 0, 0], [0, 50, 0], [0, 0, 50]], (100, 100, 19), "found"),
        ([[50, 0, 0], [0, 50, 0], [9, 0, 0]], (100, 100, 100), "unknown"),  # nor here, but of 9 images
        ([[50, 0, 0], [0, 50, 0], [0, 0, 0]], (100, 100, 20), "unknown"),
    ],
)
def test_starved_classes(counts, train, verdict):
    judged = judge_classes(train_labels(*train), measure_classes(predicted(counts)[0]))
    assert judged.verdict == verdict
    assert [item["class_name"] for item in judged.items] == ["eel"]


def test_three_images_tell_nothing():
    table, metrics = predicted([[1, 0, 0], [0, 1, 0], [1, 0, 0]])
    train = train_labels(30, 30, 30)
    of_metrics = judge_accuracy(metrics), judge_shift(metrics), judge_calibration(metrics, table, 15)
    of_classes = judge_baseline(train, table), judge_classes(train, measure_classes(table))
    assert {judged.verdict for judged in of_metrics + of_classes} == {"unknown"}


@pytest.mark.parametrize(("sureness", "words"), [(0.99, "Overconfident"), (0.6, "Underconfident"), (0.9, "cannot be")])
def test_calibration_is_judged_by_the_interval_of_the_temperature(sureness, words):
    table, metrics = predicted([[90, 5, 5], [5, 90, 5], [5, 5, 90]], sureness)
    judged = judge_calibration(metrics, table, 15)
    assert words in judged.sentence
    assert (judged.verdict == "unknown") is (judged.low <= 1 <= judged.high) is (sureness == 0.9)
    (errors,) = judged.items
    assert errors["ece"] == pytest.approx(abs(0.9 - sureness), abs=1e-6)
    assert errors["low"] <= errors["ece"] <= errors["high"] or sureness == 0.9


def test_a_temperature_above_1_need_not_mean_more_confident_than_accurate():
    """Of 1,400 images with a confidence of almost 1, 97 % are right; of 600 with a confidence of 0.8, 95 % are."""
    sure, unsure = (
        predicted([[1358, 42, 0], [0, 0, 0], [0] * 3], 0.99999),
        predicted([[570, 30, 0], [0] * 3, [0] * 3], 0.8),
    )
    judged = judge_calibration({"ece": 0.03}, pd.concat([sure[0], unsure[0]]), 15)
    assert judged.verdict == "found" and judged.low > 1
    assert "more confident than accurate" not in judged.sentence


@pytest.mark.parametrize(
    ("val", "test", "verdict"), [(360, 820, "found"), (360, 910, "not_found"), (360, 880, "unknown")]
)
def test_a_shift_is_a_difference_between_validation_and_test(val, test, verdict):
    metrics = {"val_accuracy": val / 400, "num_val_images": 400, "test_accuracy": test / 1000, "num_test_images": 1000}
    judged = judge_shift(metrics)
    assert judged.verdict == verdict
    assert judged.value == pytest.approx(val / 400 - test / 1000)


SURE = {"val_accuracy": 0.9, "num_val_images": 400, "test_accuracy": 0.9, "num_test_images": 1000}


EQUAL = pd.DataFrame({"class_name": NAMES, "support": 100})


def candidates(**listed: str) -> pd.DataFrame:
    """A list of suspicious labels: of each split the first letters of their names."""
    rows = [(split, i, letter) for split, letters in listed.items() for i, letter in enumerate(letters)]
    table = pd.DataFrame(rows, columns=["split", "index", "letter"])
    table["label_name"] = table.pop("letter").map({name[0]: name for name in NAMES})
    return table.assign(suggested_name="eel", q_value=0.05)


@pytest.mark.parametrize(
    ("listed", "verdict", "num_items"),
    [
        ({}, "not_found", 0),
        ({"train": "cde" * 3, "test": "cd" * 4}, "not_found", 0),  # as many as right labels may list
        ({"train": "cde" * 4, "test": "cd"}, "found", 14),  # of other splits' lists as many are right
        ({"val": "cd" * 5, "test": "cde" * 4}, "found", 22),
        ({"train": "cde" * 3 + "c" * 11}, "unknown", 0),  # a class that the model does not know
        ({"train": "c" * 12, "test": "cd" * 6}, "found", 12),
        ({"train": "cde" * 4, "test": "c" * 12}, "found", 12),
    ],
)
def test_wrong_labels_are_told_where_more_are_listed_than_right_labels_explain(listed, verdict, num_items):
    sizes = {"train": 3600, "val": 400, "test": 1000}
    margins = pd.DataFrame({"split": np.repeat(list(sizes), list(sizes.values()))})
    judged = judge_labels(candidates(**listed), margins, EQUAL, SURE)
    assert (judged.verdict, len(judged.items), judged.n) == (verdict, num_items, 5000)
    assert judged.sentence.partition(":")[0].lower().replace(" ", "_") in (verdict, "cannot_be_told")
    assert judged.sentence.startswith("Cannot be told") is (verdict == "unknown")
    assert judged.value == sum(map(len, listed.values())) / 5000
    assert judged.low <= judged.value <= judged.high


@pytest.mark.parametrize(
    ("hard", "wrong", "num_images", "verdict"),
    [
        (2, 0, 4000, "unknown"),  # the model has not learned two of twenty classes
        (0, 0, 4000, "not_found"),
        (0, 200, 4000, "found"),
        (0, 6, 150, "unknown"),  # too few to call them many, but no right label has such a margin
        (0, 0, 400, "not_found"),
    ],
)
def test_two_classes_that_are_hard_are_no_wrong_labels(hard, wrong, num_images, verdict):
    for seed in range(5):
        rng = np.random.default_rng(seed)
        labels = rng.integers(0, 20, num_images)
        margin = np.where(labels < hard, rng.normal(1, 2, num_images), rng.normal(6, 1.5, num_images))
        margin[:wrong] = rng.normal(-10, 1, wrong)
        margins = pd.DataFrame({"split": "train", "index": np.arange(num_images), "margin": margin})
        images = ImageSet(np.zeros((num_images, 1, 1, 3), np.uint8), labels, tuple(map(str, range(20))))
        found = find_label_errors(margins, images, images, lambda _, rows: np.full((len(rows), 20), 0.05))
        classes = pd.DataFrame({"class_name": images.class_names, "support": 50})
        assert judge_labels(found, margins, classes, SURE).verdict == verdict, seed


def test_a_large_split_may_list_two_of_a_thousand():
    margins = pd.DataFrame({"split": ["train"] * 50_000})
    assert judge_labels(candidates(train="cde" * 33), margins, EQUAL, SURE).verdict == "not_found"
    table = candidates(train="cde" * 34)
    assert judge_labels(table, margins, EQUAL, SURE).verdict == "found"
    assert judge_labels(table.assign(q_value=0.1), margins, EQUAL, SURE).verdict == "not_found"


def test_labels_are_not_judged_by_a_model_that_knows_little_or_on_images_that_differ():
    margins = pd.DataFrame({"split": ["train"] * 3600 + ["val"] * 400 + ["test"] * 1000})
    worse = SURE | {"test_accuracy": 0.7}
    assert judge_labels(candidates(test="cde" * 9), margins, EQUAL, worse).verdict == "unknown"
    for test in ("cde" * 9, ""):
        judged = judge_labels(candidates(train="cde" * 9, test=test), margins, EQUAL, worse)
        assert (judged.verdict, len(judged.items)) == ("found", 27)
    judged = judge_labels(candidates(train="cde" * 9), margins, EQUAL, SURE | {"val_accuracy": 0.4})
    assert (judged.verdict, len(judged.items)) == ("unknown", 0)


@pytest.mark.parametrize(("taken", "verdict"), [(0.9, "found"), (0.02, "not_found"), (0.06, "unknown")])
def test_a_planted_tag(taken, verdict):
    probe = pd.DataFrame({"class_name": NAMES, "num_images": 100, "taken": [0.9, 0.02, 0.02]})
    probe["taken_tagged"] = [0.95, taken, taken]
    planted = {"data": {"train": {"planted": {"class_name": "cat"}}}}
    judged = judge_shortcut(probe, planted)
    assert (judged.verdict, judged.n) == (verdict, 200)
    assert judged.value == pytest.approx(taken - 0.02)
    assert judge_shortcut(probe.head(0), {}).verdict == "unknown"


def test_copies_are_told_by_split_with_the_accuracy_without_them():
    columns = {"split": ["test", "val"], "index": [3, 5], "train_index": [7, 8], "similarity": 0.99, "mirrored": False}
    copies = pd.DataFrame(columns)
    metrics = {"num_test_images": 300, "num_val_images": 100, "num_near_duplicates": 1}
    metrics["test_accuracy_without_near_duplicates"] = 0.875
    judged = judge_duplicates(copies, metrics)
    assert (judged.verdict, judged.n, judged.value) == ("found", 400, 0.005)
    assert [item["index"] for item in judged.items] == [3, 5]
    assert "87.50%" in judged.sentence
    assert judge_duplicates(copies.head(0), metrics).verdict == "not_found"
    alike = judge_duplicates(copies.assign(similarity=[0.9, 0.86]), metrics)
    assert (alike.verdict, list(alike.items)) == ("unknown", []), "drawn images reach 0.87 by chance"
    not_looked_for = {"num_test_images": 300, "num_val_images": 100}
    assert judge_duplicates(copies.head(0), not_looked_for).verdict == "unknown"


@pytest.mark.parametrize(
    ("decided", "drops", "verdict"),
    [(["annealing"], [], "found"), (["validation loss", "annealing"], [3, 5], "found"), ([], [], "not_found")],
)
def test_what_decided_the_schedule_is_what_happened(decided, drops, verdict):
    told = {"drops": [{"epoch": epoch} for epoch in drops], "falls": ["It fell"] * bool(decided)}
    schedule = told | {"decided_by": decided}
    judged = judge_schedule({"schedule": schedule, "train": {"epochs": 9}})
    assert (judged.verdict, judged.value, list(judged.items)) == (verdict, len(drops), decided)
    assert ("validation loss" in judged.sentence.lower()) is ("validation loss" in decided)
    assert ("never dropped" in judged.sentence) is (not decided)
