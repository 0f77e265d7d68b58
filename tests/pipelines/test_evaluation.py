import dataclasses
import logging

import pytest

from s10_pipeline.pipelines.evaluation.nodes import evaluate
from s10_pipeline.vision.data.image_set import content_digest
from s10_pipeline.vision.errors import UserError
from s10_pipeline.vision.evaluation.params import EvaluateParams


@pytest.fixture
def provenance(data):
    return {"data": {"test": {"title": "shapes10", "digest": content_digest(data.test_images)}}}


def test_evaluate_refuses_images_that_the_model_does_not_know(classifier, data, provenance):
    changed = data.test_images.images_nhwc.copy()
    changed[0] ^= 255
    newer = dataclasses.replace(data.test_images, images_nhwc=changed, digest=None)
    with pytest.raises(UserError, match="test_images: newer than the stored model.*run the whole pipeline"):
        evaluate(classifier, newer, data.test_set, provenance, EvaluateParams(), "cpu")


def test_evaluate_gives_metrics_rows_and_matrix(classifier, data, provenance, caplog):
    caplog.set_level(logging.INFO)
    metrics, predictions, matrix = evaluate(
        classifier, data.test_images, data.test_set, provenance, EvaluateParams(), "cpu"
    )
    assert {
        "test_accuracy", "test_accuracy_ci95", "test_loss", "balanced_accuracy", "macro_f1", "per_class_accuracy",
        "ece", "num_test_images",
    } <= set(metrics)  # fmt: skip
    assert len(predictions) == metrics["num_test_images"] == 120
    assert "drawn data, not CIFAR-10" in caplog.text
    low, high = metrics["test_accuracy_ci95"]
    assert low < metrics["test_accuracy"] < high
    assert f"{metrics['test_accuracy']:.2%}" in matrix.axes[0].get_title()
