from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from s10_pipeline.vision.data.image_set import ImageSet
from s10_pipeline.vision.evaluation.calibration import tabulate_reliability
from s10_pipeline.vision.evaluation.classes import measure_classes
from s10_pipeline.vision.evaluation.metrics import compute_metrics
from s10_pipeline.vision.evaluation.verdict import KINDS, Verdict
from s10_pipeline.vision.explain.cams import Cams
from s10_pipeline.vision.explain.params import ExplainParams
from s10_pipeline.vision.explain.selection import select_misclassified
from s10_pipeline.vision.figure_text import literal
from s10_pipeline.vision.report.inputs import ReportInputs
from s10_pipeline.vision.report.page import build_report

NASTY = "<script>alert(1)</script>&\"' $x^2$ ünï木"
NAMES = (NASTY, "dog", "a class with quite a long name, as taxonomies have them")


def predictions(num_images: int, names: tuple[str, ...]) -> pd.DataFrame:
    """Each class in turn; every second image is taken for the next class."""
    index = np.arange(num_images)
    label = index % len(names)
    prediction = np.where(index % 2, label, (label + 1) % len(names))
    probabilities = np.full((num_images, len(names)), 0.3 / (len(names) - 1))
    probabilities[index, prediction] = 0.7
    table = {"index": index, "path": [f"test/{names[k]}/{i}.png" for i, k in zip(index, label, strict=True)]}
    table |= {"label": label, "prediction": prediction, "confidence": 0.7}
    table |= {"label_name": np.array(names)[label], "prediction_name": np.array(names)[prediction]}
    return pd.DataFrame(table | {f"p_{name}": probabilities[:, k] for k, name in enumerate(names)})


def label_errors(names: tuple[str, ...]) -> pd.DataFrame:
    """A training and a test image with a suspicious label."""
    rows = {"split": ["train", "test"], "index": [7, 3], "label_name": names[0], "suggested_name": names[1]}
    return pd.DataFrame({**rows, "p_label": 0.25, "p_suggested": 0.75, "margin": [-7.0, -6.5], "q_value": 0.01})


def make_inputs(
    num_images: int = 25, names: tuple[str, ...] = NAMES, title: str = "CIFAR-10", size: int = 32, planted: bool = False
) -> ReportInputs:
    """What a report is made of; ``num_images`` mistakes are explained, the map of the second is blank."""
    rng = np.random.default_rng(0)
    table = predictions(max(120, 2 * num_images), names)
    if not num_images:
        table["prediction"], table["prediction_name"] = table["label"], table["label_name"]
    params = ExplainParams(num_images=num_images or 25, selection="first")
    misclassified = select_misclassified(table, params)
    n = len(misclassified)
    pixels = rng.integers(0, 256, (len(table), size, size, 3), dtype=np.uint8)
    images = ImageSet(pixels, table["label"].to_numpy(), names, tuple(table["path"]), {"title": title})
    epochs = np.arange(1, 5)
    history = pd.DataFrame({"epoch": epochs, "lr": [0.1, 0.1, 0.02, 0.02], "lr_dropped": epochs % 2 == 0})
    history["lr_after"] = [0.1, 0.02, 0.02, 0.004]
    drop = {"epoch": 2, "lr": 0.1, "lr_after": 0.02, "sentence": "1 epoch without an improvement"}
    schedule = {"decided_by": ["validation loss"], "drops": [drop], "falls": [], "warmup": ""}
    for column in ("train_loss", "train_accuracy", "val_loss", "val_accuracy", "test_loss", "test_accuracy"):
        history[column] = [0.2, 0.5, 0.9, float("nan")]
    metrics = compute_metrics(table[[f"p_{name}" for name in names]].to_numpy(), images.labels, names, 15)
    best_lr = {"lr": 0.05, "method": "auto", "candidates": {"auto": 0.05, "minimum": float("nan")}}
    best_lr |= {"band": [0.04, 0.06], "read_to": 0.5}
    lr = np.geomspace(1e-3, 1, 20)
    advantage = {"mean": 0.2, "low": 0.1, "high": 0.3}
    controls = ("random_maps", "other_maps")
    cam_check = {
        "num_maps": 24, "num_blank": 1, "percentages": [10, 20, 40],
        "verdict": Verdict("cam_trust", "found", 24, f"{NASTY} shown", 0.2, 0.1, 0.3).as_dict(),
        "drop": {name: [0.1, 0.2, 0.3] for name in ("maps", *controls)},
        "advantage": dict.fromkeys(controls, advantage),
    }  # fmt: skip
    probe = pd.DataFrame({"class_name": names, "num_images": 40, "accuracy": 0.5, "accuracy_tagged": 0.25})
    return ReportInputs(
        train_images=images,
        test_images=images,
        misclassified=misclassified,
        cams=Cams(
            indices=misclassified["index"].to_numpy(np.int64),
            predicted_nhw=rng.random((n, size, size), dtype=np.float32) * (np.arange(n) != 1)[:, None, None],
            true_nhw=rng.random((n, size, size), dtype=np.float32),
            params=params.model_dump(mode="json"), model="sha256:def",
            shortcut={"class_name": names[0], "num_images": 7, "area": 0.02, "heat_plain": 0.01, "heat_tagged": None,
                      } if planted else None,
            shortcut_examples=[], shortcut_nhw=rng.random((0, size, size), dtype=np.float32),
        ),
        metrics=metrics | {"ece": float("nan"), "temperature": 1.5, "ece_after_temperature": 0.01,
                           "val_accuracy": 0.5, "num_val_images": 40,
                           "num_near_duplicates": 1, "test_accuracy_without_near_duplicates": 0.49,
                           "test_accuracy_with_flip": 0.52, "test_accuracy_with_flip_ci95": [0.5, 0.54]},
        test_predictions=table,
        class_metrics=measure_classes(table),
        reliability=tabulate_reliability(np.full((4, 2), 0.5), np.array([0, 1, 0, 0]), 1.5, 15),
        train_margins=pd.DataFrame({"split": ["train", "val", "test"] * 20, "index": range(60), "margin": range(60)}),
        label_error_candidates=label_errors(names),
        near_duplicates=pd.DataFrame({"split": "test", "index": [3], "train_index": 5, "similarity": 0.9,
                                      "mirrored": True, "label_name": names[0], "train_label_name": names[1]}),
        shortcut_probe=probe.assign(taken=0.0, taken_tagged=1.0) if planted else probe.head(0),
        training_history=history,
        training_timing=history[["epoch"]].assign(epoch_seconds=2.0, images_per_second=50.0, data_wait_fraction=0.1),
        lr_curve=pd.DataFrame({"lr": lr, "loss": 1.0, "raw_loss": 1 + lr, "run": 0}),
        best_lr=best_lr,
        augmented_examples=ImageSet(
            pixels[:4], np.repeat([0, 1], 2), names, source={"columns": ["original", "epoch 1"], "transforms": []}
        ),
        provenance={
            "data": {"train": {"title": title, "parameters": {"path": NASTY, "mirrors": [], "list": [1, {"a": True}]}}},
            "train": {"warmup_epochs": 0}, "schedule": schedule, NASTY: NASTY, "empty": {},
        },
        cam_check=cam_check,
        verdicts=[Verdict(kind, "found", 120, f"{kind} of {NASTY} is told", 0.5, 0.4, 0.6).as_dict()
                  for kind in KINDS if kind != "cam_trust"],
    )  # fmt: skip


@pytest.fixture(scope="session")
def inputs() -> Callable[..., ReportInputs]:
    """Makes a report's inputs, with names that try to break out of whatever they are written into."""
    return make_inputs


@pytest.fixture(scope="session")
def figures() -> dict[str, Figure]:
    """One figure under the names that the templates know, and under another."""
    figure = Figure(figsize=(4, 3))
    figure.subplots().plot([1, 2])
    figure.suptitle(literal(NASTY))
    known = ("accuracy_curves", "loss_curves", "lr_curve_plot", "confusion_matrix", "reliability_diagram")
    return dict.fromkeys((*known, "cam_check_plot", "extra"), figure)


@pytest.fixture(scope="session")
def html(figures: dict[str, Figure]) -> str:
    return build_report(make_inputs(), figures)
