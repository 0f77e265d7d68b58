import dataclasses
import logging

import pytest

from s10_pipeline.pipelines.evaluation.nodes import evaluate, find_label_errors, find_near_duplicates, probe_shortcut
from s10_pipeline.vision.data.image_set import content_digest
from s10_pipeline.vision.data.params import AugmentParams
from s10_pipeline.vision.data.split import build_sets, indices_digest
from s10_pipeline.vision.errors import UserError
from s10_pipeline.vision.evaluation.params import EvaluateParams


@pytest.fixture
def provenance(data):
    images = {"train": data.train_images, "test": data.test_images}
    return {"data": {split: {"title": "shapes10", "digest": content_digest(i)} for split, i in images.items()}}


def run_evaluate(model, data, provenance, params=None):
    """The node on what a run has."""
    params, images = params or EvaluateParams(), (data.train_images, data.test_images)
    duplicates = find_near_duplicates(*images, params)
    return evaluate(model, *images, data.val_set, data.test_set, duplicates, provenance, params, "cpu")


@pytest.mark.parametrize("split", ["train", "test"])  # training images of another time would give another temperature
def test_evaluate_refuses_images_that_the_model_does_not_know(classifier, data, provenance, split):
    images = getattr(data, f"{split}_images")
    newer = dataclasses.replace(images, images_nhwc=images.images_nhwc ^ 255, digest=None)
    with pytest.raises(UserError, match=f"^{split}_images: .*--load-versions={split}_images:"):
        run_evaluate(classifier, dataclasses.replace(data, **{f"{split}_images": newer}), provenance)


def test_evaluate_refuses_another_split_of_the_same_images(classifier, data, provenance, shapes):
    """The images are equal, but some of the other split were trained on."""
    trained = {"val_fraction": 0.1, "seed": 0, "split_digests": {"val": indices_digest(data.val_set)}}
    _, val_set, _ = build_sets(*shapes, AugmentParams(seed=1))
    assert set(val_set.indices) & set(data.train_set.indices)
    with pytest.raises(UserError, match="^val_set: another split"):
        run_evaluate(classifier, dataclasses.replace(data, val_set=val_set), {**provenance, "augment": trained})


def test_evaluate_gives_metrics_rows_and_matrix(classifier, data, provenance, caplog):
    caplog.set_level(logging.INFO)
    metrics, predictions, matrix, classes, reliability, diagram = run_evaluate(classifier, data, provenance)
    assert {
        "test_accuracy", "test_accuracy_ci95", "test_loss", "balanced_accuracy", "macro_f1", "per_class_accuracy",
        "ece", "num_test_images", "temperature", "ece_after_temperature", "num_near_duplicates",
        "test_accuracy_without_near_duplicates",
    } <= set(metrics)  # fmt: skip
    assert len(predictions) == metrics["num_test_images"] == 120
    assert "drawn data, not CIFAR-10" in caplog.text
    low, high = metrics["test_accuracy_ci95"]
    assert low < metrics["test_accuracy"] < high
    assert f"{metrics['test_accuracy']:.2%}" in matrix.axes[0].get_title()
    assert classes["recall"].tolist() == list(metrics["per_class_accuracy"].values())
    assert reliability["temperature"].unique().tolist() == [1.0, metrics["temperature"]]
    assert len(diagram.axes) == 4


def test_near_duplicates_are_looked_for_only_where_that_is_wanted(classifier, data, provenance):
    off = EvaluateParams(duplicate_similarity=None)
    metrics, *_ = run_evaluate(classifier, data, provenance, params=off)
    assert "num_near_duplicates" not in metrics
    assert len(find_near_duplicates(data.train_images, data.train_images, off)) == 0
    assert len(find_near_duplicates(data.train_images, data.train_images, EvaluateParams())) >= 390


def test_candidates_and_probe_are_tables(classifier, data, provenance):
    _, predictions, *_ = run_evaluate(classifier, data, provenance)
    assert set(find_label_errors(predictions)["index"]) <= set(range(120))
    arguments = (classifier, data.test_images, data.test_set)
    assert probe_shortcut(*arguments, provenance, EvaluateParams(), "cpu").empty
    planted = {"class_name": "heart", "box_xyxy": [1, 1, 6, 6], "rgb": [255, 222, 0]}
    provenance["data"]["train"]["planted"] = planted
    assert len(probe_shortcut(*arguments, provenance, EvaluateParams(), "cpu")) == 10
