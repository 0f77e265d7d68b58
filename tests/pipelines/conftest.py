"""One run of the nodes up to the verdicts, as small as it gets."""

import json

import pytest

from s10_pipeline.pipelines.evaluation.nodes import (
    evaluate,
    find_label_errors,
    find_near_duplicates,
    judge,
    probe_shortcut,
)
from s10_pipeline.pipelines.lr_search.nodes import lr_range_test
from s10_pipeline.pipelines.training.nodes import train_resnet
from s10_pipeline.vision.evaluation.params import EvaluateParams
from s10_pipeline.vision.lr_search.params import LrSearchParams
from s10_pipeline.vision.training.checkpoints import CheckpointStore


@pytest.fixture(scope="session")
def artifacts(data, tiny, tmp_path_factory):
    """What stages leave, by dataset name; nothing may be changed in place."""
    search = LrSearchParams(num_iterations=25, start_lr=1e-3, end_lr=1.0, method="minimum")
    lr_curve, best_lr, lr_curve_plot = lr_range_test(
        data.train_images, data.train_set, search, tiny.model_copy(update={"epochs": 80})
    )
    store = CheckpointStore(tmp_path_factory.mktemp("checkpoints"))
    images = (data.train_images, data.test_images)
    sets = (data.train_set, data.val_set, data.test_set)
    model, history, timing, margins, curves, provenance = train_resnet(*images, *sets, best_lr, store, tiny)
    duplicates = find_near_duplicates(*images, data.train_set, data.val_set, EvaluateParams())
    metrics, predictions, matrix, class_metrics, reliability, diagram = evaluate(
        model, *images, data.val_set, data.test_set, duplicates, provenance, EvaluateParams(), "cpu"
    )
    candidates = find_label_errors(model, *images, margins, provenance, EvaluateParams(), "cpu")
    probe = probe_shortcut(model, data.test_images, data.test_set, provenance, EvaluateParams(), "cpu")
    tables = (metrics, predictions, class_metrics, candidates, margins, duplicates, probe)
    return {
        "model": model,
        "checkpoints": store,
        **vars(data),
        "provenance": json.loads(json.dumps(provenance)),
        "training_history": history,
        "training_timing": timing,
        "train_margins": margins,
        "accuracy_curves": curves,
        "lr_curve": lr_curve,
        "lr_curve_plot": lr_curve_plot,
        "best_lr": best_lr,
        "metrics": metrics,
        "test_predictions": predictions,
        "confusion_matrix": matrix,
        "reliability_diagram": diagram,
        "class_metrics": class_metrics,
        "reliability": reliability,
        "label_error_candidates": candidates,
        "near_duplicates": duplicates,
        "device": "cpu",
        "shortcut_probe": probe,
        "verdicts": judge(data.train_images, data.train_set, provenance, *tables, EvaluateParams()),
    }
