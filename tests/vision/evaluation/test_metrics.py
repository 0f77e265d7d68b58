import dataclasses

import numpy as np
import pytest
import torch

from s10_pipeline.vision.errors import UserError
from s10_pipeline.vision.evaluation.confusion import plot_confusion_matrix
from s10_pipeline.vision.evaluation.metrics import (
    compute_metrics,
    evaluate_classifier,
    expected_calibration_error,
    prediction_table,
)
from s10_pipeline.vision.evaluation.params import EvaluateParams

NAMES = ("cat", "dog")


def test_known_answers():
    probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.7, 0.3]])
    labels = np.array([0, 0, 1, 1])
    metrics = compute_metrics(probabilities, labels, NAMES, num_bins=10)
    assert metrics["test_accuracy"] == 0.75
    # Wilson's interval for 3 of 4
    assert metrics["test_accuracy_ci95"] == pytest.approx([0.30064, 0.95441], abs=1e-4)
    assert metrics["test_loss"] == pytest.approx(-np.log([0.9, 0.6, 0.8, 0.3]).mean())
    assert metrics["balanced_accuracy"] == 0.75
    assert metrics["per_class_accuracy"] == {"cat": 1.0, "dog": 0.5}
    # cat: precision 2/3, recall 1 -> 0.8; dog: precision 1, recall 1/2 -> 2/3
    assert metrics["macro_f1"] == pytest.approx((0.8 + 2 / 3) / 2)
    assert metrics["num_test_images"] == 4
    # every image has a bin of its own: gaps 0.1, 0.4, 0.2 (right) and 0.7 (wrong)
    assert metrics["ece"] == pytest.approx((0.1 + 0.4 + 0.2 + 0.7) / 4)


def test_a_class_without_test_images_does_not_count():
    metrics = compute_metrics(np.array([[0.9, 0.1, 0.0], [0.2, 0.8, 0.0]]), np.array([0, 1]), ("a", "b", "c"), 15)
    assert metrics["balanced_accuracy"] == metrics["macro_f1"] == 1.0
    assert metrics["per_class_accuracy"] == {"a": 1.0, "b": 1.0, "c": None}


def test_calibration_error_of_the_calibrated_and_the_overconfident():
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.5, 1.0, 20_000)
    probabilities = np.stack([confidence, 1 - confidence], axis=1)
    calibrated = (rng.random(20_000) > confidence).astype(int)
    assert expected_calibration_error(probabilities, calibrated, 15) < 0.02
    assert expected_calibration_error(np.array([[1.0, 0.0]] * 10), np.array([0] * 5 + [1] * 5), 15) == 0.5


def test_a_row_an_image(classifier, data):
    metrics, table = evaluate_classifier(
        classifier, data.test_images, data.test_set, EvaluateParams(batch_size=7), torch.device("cpu")
    )
    names = data.test_images.class_names
    assert list(table.columns) == [
        "index", "label", "prediction", "label_name", "prediction_name", "confidence", *[f"p_{n}" for n in names]
    ]  # fmt: skip
    assert table["index"].tolist() == list(range(120))
    assert table["label"].tolist() == data.test_images.labels.tolist()
    probabilities = table[[f"p_{name}" for name in names]].to_numpy()
    assert probabilities.sum(1) == pytest.approx(np.ones(120))
    assert (probabilities.argmax(1) == table["prediction"]).all()
    assert (probabilities.max(1) == table["confidence"]).all()
    assert [names[k] for k in table["prediction"]] == table["prediction_name"].tolist()
    assert metrics["test_accuracy"] == (table["label"] == table["prediction"]).mean()
    images = torch.from_numpy(data.test_images.images_nhwc[:5].copy()).permute(0, 3, 1, 2)
    by_hand = torch.softmax(classifier.eval()(images), dim=1).detach().numpy()
    assert probabilities[:5] == pytest.approx(by_hand, abs=1e-5)


def test_paths_are_told_where_there_are_files(data):
    images = dataclasses.replace(data.test_images, paths=tuple(f"test/{i}.png" for i in range(120)))
    table = prediction_table(np.full((120, 10), 0.1), images, data.test_set)
    assert list(table.columns[:2]) == ["index", "path"]
    assert table["path"].iloc[7] == "test/7.png"


def test_a_model_of_other_data_is_refused(classifier, data):
    other = dataclasses.replace(data.test_images, class_names=tuple("abcdefghij"))
    with pytest.raises(UserError, match=r"model: knows 10 classes .* train on these images first"):
        evaluate_classifier(classifier, other, data.test_set, EvaluateParams(), torch.device("cpu"))
    large = dataclasses.replace(data.test_images, images_nhwc=np.zeros((120, 64, 64, 3), np.uint8))
    with pytest.raises(UserError, match="model: takes 32x32 pixels, the images have 64x64"):
        evaluate_classifier(classifier, large, data.test_set, EvaluateParams(), torch.device("cpu"))


@pytest.mark.parametrize("num_classes", [2, 10, 100])
def test_the_confusion_matrix_counts(num_classes):
    rng = np.random.default_rng(0)
    labels, predictions = rng.integers(0, num_classes, (2, 500))
    table = {"label": labels, "prediction": predictions} | {f"p_class {k}": 0.0 for k in range(num_classes)}
    import pandas as pd

    ax = plot_confusion_matrix(pd.DataFrame(table), "title").axes[0]
    rates = ax.images[0].get_array()
    assert rates.shape == (num_classes, num_classes)
    expected = ((labels == 0) & (predictions == 1)).sum() / (labels == 0).sum()
    assert rates[0, 1] == pytest.approx(expected)
    numbers = [int(text.get_text()) for text in ax.texts]
    assert sum(numbers) == (500 if num_classes <= 20 else 0)
