import json

import numpy as np
import pandas as pd

from s10_pipeline.vision.report.tables import most_confused, to_jsonable, training_summary

NAN = float("nan")
HISTORY = pd.DataFrame({"epoch": [1, 2, 3], "lr": [0.1, 0.2, 0.02], "lr_dropped": [False, True, True]})
HISTORY["train_accuracy"], HISTORY["val_accuracy"] = [0.1, 0.2, 0.3], [0.4, 0.6, NAN]
HISTORY["test_accuracy"] = [0.5, 0.5, 0.7]
TIMING = pd.DataFrame({"epoch": [1, 2, 3], "epoch_seconds": [1.0, 1.0, 2.0], "images_per_second": [100.0, 100.0, 50.0]})
TIMING["data_wait_fraction"] = [0.4, 0.0, 0.0]


def test_mistakes_are_counted_by_pair_and_shared_by_true_class() -> None:
    label, prediction = [0, 0, 0, 0, 1, 1, 2], [0, 1, 1, 2, 1, 0, 2]
    names = np.array(["a", "b", "c"])
    table = pd.DataFrame({"label": label, "prediction": prediction, "label_name": names[label]})
    table["prediction_name"] = names[prediction]
    table[[f"p_{name}" for name in names]] = 1 / 3
    told = [(pair["truth"], pair["prediction"], pair["count"], pair["share"]) for pair in most_confused(table)]
    assert told == [("a", "b", 2, 0.5), ("a", "c", 1, 0.25), ("b", "a", 1, 0.5)]
    assert len(most_confused(table, num_pairs=1)) == 1


def test_training_in_figures() -> None:
    told = to_jsonable(training_summary(HISTORY, TIMING))
    assert (told["num_epochs"], told["highest_lr"], told["final_lr"]) == (3, 0.2, 0.02)
    assert (told["best_val_epoch"], told["best_val_accuracy"], told["val_accuracy"]) == (2, 0.6, None)
    # the drop after epoch 3, the last one, had no effect
    assert told["lr_dropped_after_epochs"] == [2]
    # by time: the last epoch took half of it
    assert (told["total_seconds"], told["images_per_second"], told["data_wait_fraction"]) == (4.0, 75.0, 0.1)
    assert training_summary(HISTORY, TIMING.assign(epoch_seconds=0.0))["images_per_second"] is None


def test_numbers_of_numpy_become_json() -> None:
    value = {1: (np.float32(0.5), np.int64(3)), "x": [1.0, np.inf], "y": [NAN, np.bool_(True), None, "s"]}
    plain = to_jsonable(value)
    assert plain == {"1": [0.5, 3], "x": [1.0, None], "y": [None, True, None, "s"]}
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
