import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import precision_recall_fscore_support

from s10_pipeline.vision.evaluation.classes import count_confusions, measure_classes
from s10_pipeline.vision.evaluation.intervals import wilson


def predictions(num_images: int = 400, names: tuple[str, ...] = ("a", "b", "null")) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    label = rng.integers(0, len(names), num_images)
    prediction = np.where(rng.random(num_images) < 0.7, label, rng.integers(0, len(names), num_images))
    return pd.DataFrame({"label": label, "prediction": prediction} | {f"p_{name}": 0.0 for name in names})


def test_equals_scikit_learn_and_wilson():
    table = predictions()
    measured = measure_classes(table)
    precision, recall, f1, support = precision_recall_fscore_support(table["label"], table["prediction"])
    for name, expected in (("precision", precision), ("recall", recall), ("f1", f1), ("support", support)):
        np.testing.assert_allclose(measured[name], expected)
    counts = count_confusions(table)
    intervals = wilson(counts[0, 0], counts[0].sum()), wilson(counts[1, 1], counts[:, 1].sum())
    assert measured.loc[0, ["recall_low", "recall_high"]].tolist() == pytest.approx(intervals[0])
    assert measured.loc[1, ["precision_low", "precision_high"]].tolist() == pytest.approx(intervals[1])
    for name in ("precision", "recall", "f1"):
        assert (measured[f"{name}_low"] < measured[name]).all()
        assert (measured[name] < measured[f"{name}_high"]).all()
    assert measured["class_name"].tolist() == ["a", "b", "null"]


def test_f1_intervals_contain_the_true_f1_in_about_95_percent_of_samples():
    """Two classes with 30 images each; the chance that an image is right equals the true F1 of both classes."""
    rng = np.random.default_rng(0)
    label = np.repeat([0, 1], 30)
    for true_f1 in (0.02, 0.5, 0.9, 0.99):
        tables = [
            pd.DataFrame({"label": label, "prediction": np.where(rng.random(60) < true_f1, label, 1 - label)})
            for _ in range(100)
        ]
        measured = pd.concat([measure_classes(table.assign(p_a=0.0, p_b=0.0)) for table in tables])
        assert measured["f1"].between(measured["f1_low"], measured["f1_high"]).all()
        assert ((measured["f1_low"] <= true_f1) & (true_f1 <= measured["f1_high"])).mean() > 0.93


def test_what_cannot_be_computed_is_not_a_number():
    table = pd.DataFrame({"label": [0, 0, 1], "prediction": [0, 0, 0], "p_a": 0.0, "p_b": 0.0, "p_c": 0.0})
    measured = measure_classes(table).set_index("class_name")
    assert np.isnan(measured.loc["b", "precision"])
    assert measured.loc["b", "recall"] == measured.loc["b", "f1"] == 0
    assert measured.loc["c", ["precision", "recall", "f1", "f1_low", "recall_high"]].isna().all()
