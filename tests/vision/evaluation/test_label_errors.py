import numpy as np
import pandas as pd

from s10_pipeline.vision.evaluation.label_errors import COLUMNS, find_label_errors


def predictions(labels: np.ndarray, p_nk: np.ndarray) -> pd.DataFrame:
    names = [f"class {k}" for k in range(p_nk.shape[1])]
    table = pd.DataFrame({"index": np.arange(len(labels)) + 100, "label": labels, "prediction": p_nk.argmax(1)})
    return pd.concat([table, pd.DataFrame(p_nk, columns=[f"p_{name}" for name in names])], axis=1)


def test_finds_the_labels_that_were_changed():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 5, 2000)
    sure = rng.uniform(4, 8, (2000, 1))
    logits = rng.normal(0, 1, (2000, 5)) + sure * np.eye(5)[truth]
    p_nk = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    changed = rng.choice(2000, 60, replace=False)
    labels = truth.copy()
    labels[changed] = (truth[changed] + rng.integers(1, 5, 60)) % 5
    found = find_label_errors(predictions(labels, p_nk))
    # it names those where the model is as sure as it is on average: most of them, and hardly any other
    rightly = set(found["index"] - 100) & set(changed)
    assert len(rightly) >= 40
    assert len(rightly) >= 0.95 * len(found)
    assert found["margin"].is_monotonic_increasing
    row = found.iloc[0]
    assert row["suggested_name"] == f"class {truth[row['index'] - 100]}"
    assert row["margin"] == row["p_label"] - row["p_suggested"] < 0


def test_an_unsure_mistake_is_no_candidate():
    labels = np.array([0, 0, 1, 1, 0])
    p_nk = np.array([[0.9, 0.1], [0.9, 0.1], [0.1, 0.9], [0.1, 0.9], [0.45, 0.55]])
    # class 1's threshold is 0.9: at 0.55 the model is wrong, but not as sure as on images of that class
    assert find_label_errors(predictions(labels, p_nk)).empty
    p_nk[4] = [0.02, 0.98]
    assert find_label_errors(predictions(labels, p_nk))["index"].tolist() == [104]


def test_none_and_classes_without_images():
    labels = np.array([0, 0, 1])
    found = find_label_errors(predictions(labels, np.array([[0.8, 0.1, 0.1], [0.2, 0.1, 0.7], [0.1, 0.9, 0.0]])))
    assert list(found.columns) == list(COLUMNS)
    assert found.empty  # nothing is known about how sure the model is of the third class
