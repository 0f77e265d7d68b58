"""Where the schedule, the learning rate and the data come from, read off what was stored."""

import pandas as pd
import pytest

from s10_pipeline.vision.report.story import explain_drops, explain_learning_rate, trace_lineage
from s10_pipeline.vision.training.checkpoints import CheckpointStore
from s10_pipeline.vision.training.engine import train_classifier
from s10_pipeline.vision.training.params import PlateauParams


def test_reasons_of_drops_known_by_hand() -> None:
    # warm-up ends after epoch 1; the best loss is 1.0 in epoch 2; 3 and 4 are not 5 % better; 5 is; 6 and 7 are not
    losses = [2.0, 1.0, 0.98, 0.97, 0.5, 0.6, 0.49]
    history = pd.DataFrame({"epoch": range(1, 8), "val_loss": losses, "lr": [0.1] * 4 + [0.02] * 3})
    history["lr_dropped"] = [False, False, False, True, False, False, True]
    plateau = {"factor": 0.2, "patience": 1, "threshold": 0.05, "cooldown": 0}
    drops = explain_drops(history, {"train": {"plateau": plateau, "warmup_epochs": 1}})
    assert drops == [
        {"epoch": 4, "lr": 0.1, "new_lr": 0.02, "reason": {"best_val_loss": 1.0, "best_epoch": 2, "num_bad_epochs": 2}},
        {
            "epoch": 7,
            "lr": 0.02,
            "new_lr": None,
            "reason": {"best_val_loss": 0.5, "best_epoch": 5, "num_bad_epochs": 2},
        },
    ]
    for provenance in ({}, {"train": {"plateau": {**plateau, "patience": 5}}}):
        assert [drop["reason"] for drop in explain_drops(history, provenance)] == [None, None]


def test_the_new_rate_is_the_plateau_s_where_annealing_begins_at_once() -> None:
    history = pd.DataFrame({"epoch": [1, 2, 3], "val_loss": [1.0, 1.0, 1.0], "lr": [0.1, 0.1, 0.001]})
    history["lr_dropped"] = [False, True, False]
    train = {"plateau": {"factor": 0.2, "patience": 0}, "epochs": 3, "anneal_epochs": 1}
    (drop,) = explain_drops(history, {"train": train})
    assert drop["new_lr"] == pytest.approx(0.02)
    train["plateau"]["min_lr"] = 0.05
    assert explain_drops(history, {"train": train})[0]["new_lr"] == pytest.approx(0.05)


@pytest.mark.parametrize("cooldown", [0, 2])
def test_the_rule_is_the_one_that_training_follows(data, tiny, tmp_path, cooldown) -> None:
    plateau = PlateauParams(patience=0, threshold=0.5, factor=0.5, cooldown=cooldown)
    params = tiny.model_copy(update={"epochs": 7, "warmup_epochs": 1, "plateau": plateau})
    result = train_classifier(data, 0.05, params, CheckpointStore(tmp_path))
    drops = explain_drops(result.history, {"train": params.model_dump()})
    assert [drop["epoch"] for drop in drops] == result.history.loc[result.history["lr_dropped"], "epoch"].tolist()
    assert len(drops) >= 2
    assert all(drop["reason"] for drop in drops)


def test_which_rate_and_why() -> None:
    best = {"lr": 0.2, "method": "valley", "candidates": {"valley": 0.2, "minimum": 2.0}, "spread": 10.0}
    searched = {"model": {"lr": 0.2, "lr_from": "range test"}, "lr_search": best}
    told = explain_learning_rate(searched, best)
    assert (told["lr"], told["taken_from"], told["method"], told["same_test"]) == (0.2, "range test", "valley", True)
    assert not told["contradict"] and explain_learning_rate({}, {**best, "spread": 11.0})["contradict"]
    given = explain_learning_rate({"model": {"lr": 0.05, "lr_from": "train.lr"}, "lr_search": best}, best)
    assert (given["lr"], given["taken_from"], given["suggested"]) == (0.05, "train.lr", 0.2)
    # the range test ran again after the training: what training read counts
    newer = explain_learning_rate(searched, {**best, "lr": 0.7, "candidates": {"valley": 0.7}})
    assert (newer["suggested"], newer["same_test"]) == (0.2, False)


@pytest.mark.parametrize(
    ("train", "reached"),
    [
        ({"epochs": 1, "warmup_epochs": 2}, False),
        ({"epochs": 2, "warmup_epochs": 2}, True),
        ({"epochs": 1, "warmup_epochs": 0}, True),
        ({}, True),
    ],
)
def test_a_rate_is_not_reached_where_warm_up_is_longer_than_training(train, reached) -> None:
    best = {"lr": 0.2, "method": "valley", "candidates": {"valley": 0.2}}
    assert explain_learning_rate({"train": train}, best)["reached"] is reached


def test_lineage_marks_change_with_what_they_mark() -> None:
    provenance = {
        "data": {
            split: {"title": "t", "name": "n", "checksum": f"md5:{split}", "digest": "abc", "num_images": 5000}
            for split in ("train", "test")
        },
        "augment": {"seed": 3, "val_fraction": 0.1, "images": {"train": 4500, "val": 500}},
        "code": {"version": "1", "commit": "c0ffee", "uncommitted_changes": True},
    }
    predictions = pd.DataFrame({"index": [0, 1], "prediction": [1, 0]})
    steps = trace_lineage(provenance, "sha256:model", predictions)
    assert [step for step, _, _ in steps] == [
        "train source", "train images", "test source", "test images", "split", "code", "model", "predictions"
    ]  # fmt: skip
    marks = {step: mark for step, _, mark in steps}
    assert marks["train source"] == "md5:train"
    assert marks["test images"] == "sha256:abc"
    assert "4,500 train, 500 val" in {what for _, what, _ in steps}
    assert "uncommitted" in next(what for step, what, _ in steps if step == "code")
    changed = trace_lineage(provenance, "sha256:other", predictions.assign(prediction=[1, 1]))
    assert [a == b for a, b in zip(steps, changed, strict=True)] == [True] * 6 + [False] * 2
    assert len(trace_lineage({}, "sha256:model", predictions)) == 8
