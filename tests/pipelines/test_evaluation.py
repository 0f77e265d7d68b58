import dataclasses
import json

import pytest

from project_nodes import call
from s10_pipeline.vision.data.params import AugmentParams
from s10_pipeline.vision.data.split import build_sets
from s10_pipeline.vision.errors import UserError
from s10_pipeline.vision.evaluation.params import EvaluateParams
from s10_pipeline.vision.evaluation.verdict import KINDS


@pytest.mark.parametrize("name", ["train_images", "test_images", "val_set"])
def test_evaluate_refuses_what_the_model_does_not_know(artifacts, shapes, name):
    """Other training images, or images of another split that were trained on, would give another temperature."""
    if name == "val_set":
        _, newer, _ = build_sets(*shapes, AugmentParams(seed=1))
    else:
        images = artifacts[name]
        newer = dataclasses.replace(images, images_nhwc=images.images_nhwc ^ 255, digest=None)
    with pytest.raises(UserError, match=f"^{name}: .*--load-versions={name}:"):
        call("evaluate", artifacts, **{name: newer})


def test_evaluate_gives_metrics_rows_and_matrix(artifacts):
    metrics, reliability = artifacts["metrics"], artifacts["reliability"]
    assert {
        "test_accuracy", "test_accuracy_ci95", "test_loss", "balanced_accuracy", "macro_f1", "per_class_accuracy",
        "ece", "num_test_images", "temperature", "ece_after_temperature", "num_near_duplicates", "val_accuracy",
        "test_accuracy_without_near_duplicates",
    } <= set(metrics)  # fmt: skip
    assert len(artifacts["test_predictions"]) == metrics["num_test_images"] == 120
    low, high = metrics["test_accuracy_ci95"]
    assert low < metrics["test_accuracy"] < high
    assert f"{metrics['test_accuracy']:.2%}" in artifacts["confusion_matrix"].axes[0].get_title()
    assert artifacts["class_metrics"]["recall"].tolist() == list(metrics["per_class_accuracy"].values())
    assert reliability["temperature"].unique().tolist() == [1.0, metrics["temperature"]]
    assert len(artifacts["reliability_diagram"].axes) == 4


def test_near_duplicates_are_looked_for_only_where_that_is_wanted(artifacts):
    off = {"params:evaluate": EvaluateParams(duplicate_similarity=None)}
    assert "num_near_duplicates" not in call("evaluate", artifacts, **off)["metrics"]
    with_itself = {**artifacts, "test_images": artifacts["train_images"]}
    assert call("find_near_duplicates", with_itself, **off)["near_duplicates"].empty
    assert (call("find_near_duplicates", with_itself)["near_duplicates"]["split"] == "test").sum() >= 390


def test_judge_answers_each_question_once(artifacts):
    judged = artifacts["verdicts"]
    assert [verdict["kind"] for verdict in judged] == [kind for kind in KINDS if kind != "cam_trust"]
    assert json.loads(json.dumps(judged)) == judged
    # a network that hardly trained is not surely better than one class
    assert next(v for v in judged if v["kind"] == "baseline")["verdict"] in ("found", "unknown")
    with pytest.raises(UserError, match="^train_images: "):
        call("judge", artifacts, train_images=artifacts["test_images"])
