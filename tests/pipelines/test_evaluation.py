import dataclasses
import json

import pytest

from s10_pipeline.pipelines.evaluation.nodes import evaluate, find_near_duplicates, judge
from s10_pipeline.vision.data.params import AugmentParams
from s10_pipeline.vision.data.split import build_sets
from s10_pipeline.vision.errors import UserError
from s10_pipeline.vision.evaluation.params import EvaluateParams
from s10_pipeline.vision.evaluation.verdict import KINDS


def run_evaluate(artifacts, params=None, **changed):
    """The node on what a run has."""
    names = ("model", "train_images", "test_images", "val_set", "test_set", "near_duplicates", "provenance")
    given = artifacts | changed
    return evaluate(*(given[name] for name in names), params or EvaluateParams(), "cpu")


@pytest.mark.parametrize("name", ["train_images", "test_images", "val_set"])
def test_evaluate_refuses_what_the_model_does_not_know(artifacts, shapes, name):
    """Other training images, or images of another split that were trained on, would give another temperature."""
    if name == "val_set":
        _, newer, _ = build_sets(*shapes, AugmentParams(seed=1))
    else:
        images = artifacts[name]
        newer = dataclasses.replace(images, images_nhwc=images.images_nhwc ^ 255, digest=None)
    with pytest.raises(UserError, match=f"^{name}: .*--load-versions={name}:"):
        run_evaluate(artifacts, **{name: newer})


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
    off = EvaluateParams(duplicate_similarity=None)
    assert "num_near_duplicates" not in run_evaluate(artifacts, off)[0]
    with_itself = [artifacts[name] for name in ("train_images", "train_images", "train_set", "val_set")]
    assert find_near_duplicates(*with_itself, off).empty
    assert (find_near_duplicates(*with_itself, EvaluateParams())["split"] == "test").sum() >= 390


def test_judge_answers_each_question_once(artifacts):
    judged = artifacts["verdicts"]
    assert [verdict["kind"] for verdict in judged] == [kind for kind in KINDS if kind != "cam_trust"]
    assert json.loads(json.dumps(judged)) == judged
    # a network that hardly trained is not surely better than one class
    assert next(v for v in judged if v["kind"] == "baseline")["verdict"] in ("found", "unknown")
    tables = ("class_metrics", "label_error_candidates", "train_margins", "near_duplicates", "shortcut_probe")
    others = [artifacts[name] for name in ("provenance", "metrics", "test_predictions", *tables)]
    with pytest.raises(UserError, match="^train_images: "):
        judge(artifacts["test_images"], artifacts["train_set"], *others, EvaluateParams())
