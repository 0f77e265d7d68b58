import dataclasses
import json

import pytest

from s10_pipeline.pipelines.evaluation.nodes import (
    evaluate,
    find_label_errors,
    find_near_duplicates,
    judge,
    probe_shortcut,
)
from s10_pipeline.vision.data.image_set import content_digest
from s10_pipeline.vision.data.params import AugmentParams
from s10_pipeline.vision.data.split import build_sets, indices_digest
from s10_pipeline.vision.errors import UserError
from s10_pipeline.vision.evaluation.params import EvaluateParams
from s10_pipeline.vision.evaluation.verdict import KINDS


@pytest.fixture
def provenance(data):
    images = {"train": data.train_images, "test": data.test_images}
    return {"data": {split: {"title": "shapes10", "digest": content_digest(i)} for split, i in images.items()}}


def run_evaluate(model, data, provenance, params=None):
    """The node on what a run has."""
    params = params or EvaluateParams()
    duplicates = find_near_duplicates(data.train_images, data.test_images, data.train_set, data.val_set, params)
    images = (data.train_images, data.test_images)
    return evaluate(model, *images, data.val_set, data.test_set, duplicates, provenance, params, "cpu")


@pytest.mark.parametrize("name", ["train_images", "test_images", "val_set"])
def test_evaluate_refuses_what_the_model_does_not_know(classifier, data, provenance, shapes, name):
    """Other training images, or images of another split that were trained on, would give another temperature."""
    trained = {"val_fraction": 0.1, "seed": 0, "split_digests": {"val": indices_digest(data.val_set)}}
    if name == "val_set":
        _, newer, _ = build_sets(*shapes, AugmentParams(seed=1))
    else:
        images = getattr(data, name)
        newer = dataclasses.replace(images, images_nhwc=images.images_nhwc ^ 255, digest=None)
    with pytest.raises(UserError, match=f"^{name}: .*--load-versions={name}:"):
        run_evaluate(classifier, dataclasses.replace(data, **{name: newer}), {**provenance, "augment": trained})


def test_evaluate_gives_metrics_rows_and_matrix(classifier, data, provenance):
    metrics, predictions, matrix, classes, reliability, diagram = run_evaluate(classifier, data, provenance)
    assert {
        "test_accuracy", "test_accuracy_ci95", "test_loss", "balanced_accuracy", "macro_f1", "per_class_accuracy",
        "ece", "num_test_images", "temperature", "ece_after_temperature", "num_near_duplicates", "val_accuracy",
        "test_accuracy_without_near_duplicates",
    } <= set(metrics)  # fmt: skip
    assert len(predictions) == metrics["num_test_images"] == 120
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
    found = find_near_duplicates(data.train_images, data.train_images, data.train_set, data.val_set, off)
    assert len(found) == 0
    found = find_near_duplicates(data.train_images, data.train_images, data.train_set, data.val_set, EvaluateParams())
    assert (found["split"] == "test").sum() >= 390


def test_judge_answers_each_question_once(classifier, data, provenance):
    params = EvaluateParams()
    metrics, predictions, _, classes, *_ = run_evaluate(classifier, data, provenance)
    tables = (
        classes,
        find_label_errors(predictions, metrics),
        find_near_duplicates(data.train_images, data.test_images, data.train_set, data.val_set, params),
        probe_shortcut(classifier, data.test_images, data.test_set, provenance, params, "cpu"),
    )
    judged = judge(data.train_images, data.train_set, provenance, metrics, predictions, *tables, params)
    assert [verdict["kind"] for verdict in judged] == [kind for kind in KINDS if kind != "cam_trust"]
    assert json.loads(json.dumps(judged)) == judged
    # a network that was not trained is not better than one class
    assert next(v for v in judged if v["kind"] == "baseline")["verdict"] in ("found", "unknown")
    with pytest.raises(UserError, match="^train_images: newer"):
        judge(data.test_images, data.train_set, provenance, metrics, predictions, *tables, params)
