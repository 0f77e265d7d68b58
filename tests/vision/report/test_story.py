import pandas as pd

from s10_pipeline.vision.report.story import explain_learning_rate, trace_lineage


def test_which_rate_and_why() -> None:
    best = {"lr": 0.2, "method": "auto", "candidates": {"auto": 0.2, "minimum": 2.0}}
    searched = {"model": {"lr": 0.2, "lr_from": "range test"}, "lr_search": best}
    told = explain_learning_rate(searched, best)
    assert (told["lr"], told["taken_from"], told["method"], told["same_test"]) == (0.2, "range test", "auto", True)
    given = explain_learning_rate({"model": {"lr": 0.05, "lr_from": "train.lr"}, "lr_search": best}, best)
    assert (given["lr"], given["taken_from"], given["suggested"]) == (0.05, "train.lr", 0.2)
    # the range test ran again after the training: what training read counts
    newer = explain_learning_rate(searched, {**best, "lr": 0.7, "candidates": {"auto": 0.7}})
    assert (newer["suggested"], newer["same_test"]) == (0.2, False)


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
    assert marks["train source"] == "md5:train" and marks["test images"] == "sha256:abc"
    assert "4,500 train, 500 val" in {what for _, what, _ in steps}
    assert "uncommitted" in next(what for step, what, _ in steps if step == "code")
    changed = trace_lineage(provenance, "sha256:other", predictions.assign(prediction=[1, 1]))
    assert [a == b for a, b in zip(steps, changed, strict=True)] == [True] * 6 + [False] * 2
    assert len(trace_lineage({}, "sha256:model", predictions)) == 8
