import dataclasses
import json
import re

import pytest

from s10_pipeline.pipelines.evaluation.nodes import evaluate, find_label_errors, find_near_duplicates, probe_shortcut
from s10_pipeline.pipelines.explain.nodes import collect_misclassified, gradcam_report
from s10_pipeline.pipelines.lr_search.nodes import lr_range_test
from s10_pipeline.pipelines.training.nodes import train_resnet
from s10_pipeline.vision.data.augmented import build_sets
from s10_pipeline.vision.data.params import AugmentParams
from s10_pipeline.vision.errors import UserError
from s10_pipeline.vision.evaluation.params import EvaluateParams
from s10_pipeline.vision.explain.params import ExplainParams
from s10_pipeline.vision.lr_search.params import LrSearchParams
from s10_pipeline.vision.training.checkpoints import CheckpointStore


@pytest.fixture(scope="module")
def artifacts(data, tiny, tmp_path_factory):
    """What the stages before this one leave, by dataset name."""
    search = LrSearchParams(num_iterations=25, start_lr=1e-3, end_lr=1.0, method="minimum")
    lr_curve, best_lr, _ = lr_range_test(data.train_images, data.train_set, search, tiny)
    store = CheckpointStore(tmp_path_factory.mktemp("checkpoints"))
    images = (data.train_images, data.test_images)
    sets = (data.train_set, data.val_set, data.test_set)
    model, history, timing, _, provenance = train_resnet(*images, *sets, best_lr, store, tiny)
    duplicates = find_near_duplicates(*images, EvaluateParams())
    metrics, predictions, _, class_metrics, reliability, _ = evaluate(
        model, *images, data.val_set, data.test_set, duplicates, provenance, EvaluateParams(), "cpu"
    )
    return {
        "model": model,
        "train_images": data.train_images,
        "test_images": data.test_images,
        "train_set": data.train_set,
        "provenance": json.loads(json.dumps(provenance)),
        "training_history": history,
        "training_timing": timing,
        "lr_curve": lr_curve,
        "best_lr": best_lr,
        "metrics": metrics,
        "test_predictions": predictions,
        "class_metrics": class_metrics,
        "reliability": reliability,
        "label_error_candidates": find_label_errors(predictions),
        "near_duplicates": duplicates,
        "shortcut_probe": probe_shortcut(model, data.test_images, data.test_set, provenance, EvaluateParams(), "cpu"),
    }


def test_collect_misclassified_takes_mistakes_alone(artifacts):
    predictions = artifacts["test_predictions"]
    chosen = collect_misclassified(predictions, ExplainParams())
    assert len(chosen) == 25
    assert list(chosen.columns) == list(predictions.columns)
    assert (chosen["label"] != chosen["prediction"]).all()
    assert chosen["confidence"].is_monotonic_decreasing


@pytest.mark.parametrize("num_images", [25, 3])
def test_gradcam_report_shows_each_chosen_mistake(artifacts, num_images):
    params = ExplainParams(num_images=num_images)
    chosen = collect_misclassified(artifacts["test_predictions"], params)
    gallery, page, check, _ = gradcam_report(**artifacts, misclassified=chosen, explain=params, device="cpu")
    shown = [int(i) for i in re.findall(r'data-index="(\d+)"', page)]
    assert shown == chosen["index"].tolist()
    assert len(shown) == num_images
    assert "drawn data, not CIFAR-10" in page
    assert gallery.get_size_inches().min() > 1
    assert check["num_maps"] + check["num_blank"] == num_images
    assert (check["verdict"] == "too_few") == (check["num_maps"] < 5)
    assert page.count('<figure class="plot">') == 6 + (check["verdict"] != "too_few")
    assert "Lineage" in page


def test_images_of_another_time_are_refused(artifacts):
    chosen = collect_misclassified(artifacts["test_predictions"], ExplainParams())
    images = artifacts["test_images"]
    other = dataclasses.replace(images, images_nhwc=images.images_nhwc[::-1].copy(), digest=None)
    with pytest.raises(UserError, match="test_images: newer than the stored model"):
        gradcam_report(
            **{**artifacts, "test_images": other}, misclassified=chosen, explain=ExplainParams(), device="cpu"
        )
    images = artifacts["train_images"]
    other = dataclasses.replace(images, images_nhwc=images.images_nhwc[::-1].copy(), digest=None)
    with pytest.raises(UserError, match="train_images: newer than the stored model"):
        gradcam_report(
            **{**artifacts, "train_images": other}, misclassified=chosen, explain=ExplainParams(), device="cpu"
        )


def test_another_split_is_refused(artifacts):
    other, *_ = build_sets(artifacts["train_images"], artifacts["test_images"], AugmentParams(seed=1))
    chosen = collect_misclassified(artifacts["test_predictions"], ExplainParams())
    with pytest.raises(UserError, match="train_set: another split than the stored model was trained with"):
        gradcam_report(**{**artifacts, "train_set": other}, misclassified=chosen, explain=ExplainParams(), device="cpu")


def test_the_report_reads_what_made_the_model_not_this_call(artifacts):
    told = {**artifacts["provenance"], "model": {**artifacts["provenance"]["model"], "lr": 0.777}}
    chosen = collect_misclassified(artifacts["test_predictions"], ExplainParams(num_images=2))
    arguments = {**artifacts, "provenance": told, "misclassified": chosen, "device": "cpu"}
    _, page, *_ = gradcam_report(**arguments, explain=ExplainParams(num_images=2, layer="layer2+layer3"))
    assert "0.777" in page
    assert "mean of layer2+layer3" in page


def test_no_mistakes_are_no_error(artifacts):
    predictions = artifacts["test_predictions"]
    right = predictions.assign(prediction=predictions["label"], prediction_name=predictions["label_name"])
    chosen = collect_misclassified(right, ExplainParams())
    assert len(chosen) == 0
    changed = {**artifacts, "test_predictions": right}
    gallery, page, *_ = gradcam_report(**changed, misclassified=chosen, explain=ExplainParams(), device="cpu")
    assert 'data-index="' not in page
    assert gallery is not None
