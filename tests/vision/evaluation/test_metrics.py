import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch

from s10_pipeline.vision.evaluation import metrics as module
from s10_pipeline.vision.evaluation.intervals import wilson
from s10_pipeline.vision.evaluation.metrics import (
    calibrate,
    compute_metrics,
    evaluate_classifier,
    predict_probabilities,
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


def test_the_loss_is_training_s_however_sure_the_model_is_of_a_wrong_class():
    logits = torch.tensor([[60.0, 0.0], [0.0, 90.0], [3.0, 0.0]], dtype=torch.float64)
    labels = torch.tensor([1, 0, 0])
    metrics = compute_metrics(torch.softmax(logits, 1).numpy(), labels.numpy(), NAMES, num_bins=10)
    assert metrics["test_loss"] == pytest.approx(float(torch.nn.functional.cross_entropy(logits, labels)))


def test_a_class_without_test_images_does_not_count():
    metrics = compute_metrics(np.array([[0.9, 0.1, 0.0], [0.2, 0.8, 0.0]]), np.array([0, 1]), ("a", "b", "c"), 15)
    assert metrics["balanced_accuracy"] == metrics["macro_f1"] == 1.0
    assert metrics["per_class_accuracy"] == {"a": 1.0, "b": 1.0, "c": None}


def test_a_row_an_image(classifier, data):
    given = classifier, data.test_images, data.test_set
    metrics, table = evaluate_classifier(*given, EvaluateParams(batch_size=7), torch.device("cpu"))
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


def test_a_test_time_flip_is_the_mean_of_both_views_beside_the_plain_figures(classifier, data):
    given = (classifier, data.test_images, data.test_set)
    cpu, labels = torch.device("cpu"), data.test_images.labels
    plain, table = evaluate_classifier(*given, EvaluateParams(), cpu)
    both, same_table = evaluate_classifier(*given, EvaluateParams(test_time_flip=True), cpu)
    pd.testing.assert_frame_equal(table, same_table)
    rows = classifier, data.test_images, data.test_set.indices
    mean = predict_probabilities(*rows, 50, cpu) + predict_probabilities(*rows, 50, cpu, mirrored=True)
    right = int((mean.argmax(1) == labels).sum())
    low, high = both.pop("test_accuracy_with_flip_ci95")
    assert low < both.pop("test_accuracy_with_flip") == right / 120 < high
    assert both == plain


def test_groups_are_those_of_the_images_in_the_split(classifier, data):
    test, train = (dataclasses.replace(i, groups=i.labels // 2) for i in (data.test_images, data.train_images))
    params, cpu = EvaluateParams(test_time_flip=True), torch.device("cpu")
    metrics, table = evaluate_classifier(classifier, test, data.test_set, params, cpu)
    metrics |= calibrate(classifier, train, data.val_set, table, params, cpu)[0]
    assert metrics["num_test_groups"] == metrics["num_val_groups"] == 5
    for name in ("test_accuracy", "test_accuracy_with_flip"):
        low, high = metrics[f"{name}_ci95"]
        assert high - low > np.diff(wilson(round(120 * metrics[name]), 120))


def test_the_flip_is_of_left_and_right(classifier, data):
    cpu = torch.device("cpu")
    pixels = np.ascontiguousarray(data.test_images.images_nhwc[:, :, ::-1])
    mirror_images = dataclasses.replace(data.test_images, images_nhwc=pixels)
    rows = data.test_set.indices
    found = predict_probabilities(classifier, data.test_images, rows, 50, cpu, mirrored=True)
    assert found == pytest.approx(predict_probabilities(classifier, mirror_images, rows, 50, cpu), abs=1e-6)
    plain = predict_probabilities(classifier, data.test_images, rows, 50, cpu)
    assert found != pytest.approx(plain, abs=1e-3)


def test_paths_are_told_where_there_are_files(data):
    images = dataclasses.replace(data.test_images, paths=tuple(f"test/{i}.png" for i in range(120)))
    table = module.prediction_table(np.full((120, 10), 0.1), images, data.test_set)
    assert list(table.columns[:2]) == ["index", "path"]
    assert table["path"].iloc[7] == "test/7.png"


def test_the_temperature_comes_from_validation_images_alone(classifier, data):
    params, device = EvaluateParams(), torch.device("cpu")
    metrics, table = evaluate_classifier(classifier, data.test_images, data.test_set, params, device)
    fitted, reliability = module.calibrate(classifier, data.train_images, data.val_set, table, params, device)
    shuffled = table.assign(label=np.roll(table["label"], 1))
    again, _ = module.calibrate(classifier, data.train_images, data.val_set, shuffled, params, device)
    assert fitted["temperature"] == again["temperature"]
    other_labels = dataclasses.replace(data.train_images, labels=np.roll(data.train_images.labels, 1), digest=None)
    other, _ = module.calibrate(classifier, other_labels, data.val_set, table, params, device)
    assert fitted["temperature"] != other["temperature"]
    before, after = reliability.iloc[:15], reliability.iloc[15:]
    assert before["count"].sum() == after["count"].sum() == 120
    gaps = ((before["accuracy"] - before["confidence"]).abs() * before["count"]).sum() / 120
    assert gaps == pytest.approx(metrics["ece"])


def test_accuracy_without_copies():
    table = pd.DataFrame({"index": [3, 4, 5, 6], "label": [0, 0, 1, 1], "prediction": [0, 1, 1, 0]})
    copies = pd.DataFrame({"split": ["test", "test", "val"], "index": [3, 5, 6]})
    without = module.accuracy_without(table, copies)
    assert without == {"num_near_duplicates": 2, "test_accuracy_without_near_duplicates": 0.0}
    all_of_them = pd.DataFrame({"split": "test", "index": [3, 4, 5, 6]})
    assert module.accuracy_without(table, all_of_them)["test_accuracy_without_near_duplicates"] is None
