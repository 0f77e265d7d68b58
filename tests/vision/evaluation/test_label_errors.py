import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax

from s10_pipeline.vision.evaluation.label_errors import expected_by_chance, find_label_errors


def predictions(labels: np.ndarray, p_nk: np.ndarray) -> pd.DataFrame:
    names = [f"class {k}" for k in range(p_nk.shape[1])]
    table = pd.DataFrame({"index": np.arange(len(labels)) + 100, "label": labels, "prediction": p_nk.argmax(1)})
    return pd.concat([table, pd.DataFrame(p_nk, columns=[f"p_{name}" for name in names])], axis=1)


def test_finds_the_labels_that_were_changed_and_says_how_many_chance_explains():
    """A calibrated model: labels follow its probabilities, but for 60 of 2,000."""
    rng = np.random.default_rng(0)
    p_nk = softmax(rng.normal(0, 4, (2000, 5)), axis=1)
    truth = (rng.random((2000, 1)) > p_nk.cumsum(1)).sum(1).clip(0, 4)
    chance = expected_by_chance(predictions(truth, p_nk), 1.0).sum()
    assert len(find_label_errors(predictions(truth, p_nk), 1.0)) == pytest.approx(chance, abs=3 * chance**0.5)
    changed = rng.choice(2000, 60, replace=False)
    labels = truth.copy()
    labels[changed] = (truth[changed] + rng.integers(1, 5, 60)) % 5
    table = predictions(labels, p_nk)
    found = find_label_errors(table, 1.0)
    assert found.columns.tolist() == ["index", "label_name", "suggested_name", "p_label", "p_suggested"]
    rightly = set(found["index"] - 100) & set(changed)
    assert len(rightly) >= 20
    assert len(rightly) >= len(found) - chance - 3 * chance**0.5
    assert expected_by_chance(table, 1.0).sum() == chance, "labels do not enter it"
    assert found["p_label"].is_monotonic_increasing
    assert found["p_label"].max() < 0.01
    row = found.iloc[0]
    assert row["suggested_name"] == f"class {p_nk[row['index'] - 100].argmax()}"


def test_the_temperature_calibrates_before_the_threshold():
    table = predictions(np.array([0]), np.array([[0.005, 0.995]]))
    assert find_label_errors(table, 1.0)["index"].tolist() == [100]
    assert find_label_errors(table, 1.5).empty
