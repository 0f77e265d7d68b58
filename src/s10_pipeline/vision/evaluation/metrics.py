"""Measure the trained model on test images: one row of predictions per image, and the metrics over all of them."""

from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.metrics import f1_score, recall_score

from ..data.image_set import ImageSet
from ..data.loader import cap_batch_size, plain_batches
from ..data.split import Split
from ..errors import UserError
from ..network.classifier import Classifier
from ..progress import progress_bar
from .calibration import apply_temperature, expected_calibration_error, fit_temperature, losses, tabulate_reliability
from .checks import check_same_data
from .classes import probabilities
from .groups import count_groups, effective_number
from .intervals import wilson
from .params import EvaluateParams


def predict_probabilities(
    model: Classifier,
    images: ImageSet,
    indices: NDArray[np.int64],
    batch_size: int,
    device: torch.device,
    mirrored: bool = False,
) -> NDArray[np.float64]:
    """Return the model's softmax probabilities (N, K) of the images at ``indices``, computed in fp32.

    Args:
        mirrored: classify the horizontally flipped images instead.
    """
    model = model.to(device).eval()
    rows = []
    with progress_bar("evaluate", len(indices), "images") as bar:
        fitting = cap_batch_size(batch_size, images.image_size)
        for images_bchw, _ in plain_batches(images.images_nhwc, images.labels, indices, fitting):
            rows.append(model.probabilities(images_bchw.flip(3) if mirrored else images_bchw).numpy())
            bar.advance(len(images_bchw))
    model.cpu()
    return np.concatenate(rows)


def check_predictions(
    model: Classifier, images: ImageSet, test_predictions: pd.DataFrame, device: torch.device
) -> None:
    """Raise UserError if ``test_predictions`` are not of this model, as after a new training without evaluation.

    The 64 least confident predictions are computed again, because two models differ most in these. Differences of up to
    0.01 are accepted, because devices round differently.
    """
    shown = test_predictions.sort_values("confidence", kind="stable").head(64)
    columns = [f"p_{name}" for name in model.class_names]
    same = set(columns) <= set(shown) and shown["index"].max() < len(images)
    if same:
        p_nk = predict_probabilities(model, images, shown["index"].to_numpy(), 64, device)
        same = np.abs(p_nk - shown[columns].to_numpy()).max() <= 0.01
    if not same:
        raise UserError(
            "test_predictions: another model made them, because training ran again without evaluation; evaluate the "
            "model first: kedro run --pipeline=evaluation"
        )


def prediction_table(probabilities_nk: NDArray[np.float64], images: ImageSet, subset: Split) -> pd.DataFrame:
    """Return the table ``test_predictions``: one row per image with its label, prediction and class probabilities.

    Columns: ``index`` (into the image set), ``path`` (only if the source has files), ``label``, ``prediction``
    (integers), ``label_name``, ``prediction_name``, ``confidence`` (the largest probability) and ``p_<class>``, the
    probability of each class.
    """
    names = np.array(images.class_names, dtype=object)
    labels, predictions = images.labels[subset.indices], probabilities_nk.argmax(1)
    columns: dict[str, Any] = {"index": subset.indices}
    if images.paths is not None:
        columns["path"] = [images.paths[i] for i in subset.indices]
    columns |= {
        "label": labels,
        "prediction": predictions,
        "label_name": names[labels],
        "prediction_name": names[predictions],
        "confidence": probabilities_nk.max(1),
    }
    columns |= {f"p_{name}": probabilities_nk[:, k] for k, name in enumerate(images.class_names)}
    return pd.DataFrame(columns)


def compute_metrics(
    probabilities_nk: NDArray[np.float64],
    labels: NDArray[np.int64],
    class_names: tuple[str, ...],
    num_bins: int,
    groups: NDArray[np.int64] | None = None,
) -> dict[str, Any]:
    """Return ``metrics``, a dictionary with the accuracy, loss, macro F1 and calibration error on the test images.

    Values are fractions in [0, 1], except ``test_loss``, the mean cross-entropy in nats, and ``num_test_images``.
    ``test_accuracy_ci95`` is Wilson's score interval; ``balanced_accuracy`` and ``macro_f1`` weight all classes that
    have test images equally; ``per_class_accuracy`` is None for a class without test images; ``ece`` is the expected
    calibration error. With ``groups`` (N,), the interval is that of the effective number of images, and the metrics of
    :func:`.groups.count_groups` are added.
    """
    predictions = probabilities_nk.argmax(1)
    right, present = predictions == labels, np.unique(labels)
    recall = recall_score(labels, predictions, labels=present, average=None)
    per_class: dict[str, float | None] = dict.fromkeys(class_names)
    per_class.update({class_names[k]: float(r) for k, r in zip(present, recall, strict=True)})
    return {
        "test_accuracy": float(right.mean()),
        "test_accuracy_ci95": _interval(right, groups),
        "test_loss": float(losses(probabilities_nk, labels).mean()),
        "balanced_accuracy": float(recall.mean()),
        "macro_f1": float(f1_score(labels, predictions, labels=present, average="macro", zero_division=0.0)),
        "per_class_accuracy": per_class,
        "ece": expected_calibration_error(probabilities_nk, labels, num_bins),
        "num_test_images": len(labels),
        **count_groups("test", right, groups),
    }


def _interval(right: NDArray[np.bool_], groups: NDArray[np.int64] | None) -> list[float]:
    trials = effective_number(right, groups)
    return list(wilson(right.sum() * trials / len(right), trials))


def evaluate_classifier(
    model: Classifier, images: ImageSet, subset: Split, params: EvaluateParams, device: torch.device
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Classify the images of ``subset``; return the metrics, and the table with one prediction per image.

    Raises:
        UserError: the model was trained with other class names or another image size.
    """
    check_same_data(model, images)
    probabilities_nk = predict_probabilities(model, images, subset.indices, params.batch_size, device)
    labels = images.labels[subset.indices]
    groups = None if images.groups is None else images.groups[subset.indices]
    metrics = compute_metrics(probabilities_nk, labels, images.class_names, params.num_bins, groups)
    if params.test_time_flip:
        mirrored_nk = predict_probabilities(model, images, subset.indices, params.batch_size, device, mirrored=True)
        # Average the class probabilities of each image and of its mirror image, the simplest test-time augmentation
        # (Krizhevsky et al. 2012, section 4.1).
        right = (probabilities_nk + mirrored_nk).argmax(1) == labels
        metrics["test_accuracy_with_flip"] = float(right.mean())
        metrics["test_accuracy_with_flip_ci95"] = _interval(right, groups)
    return metrics, prediction_table(probabilities_nk, images, subset)


def calibrate(
    model: Classifier,
    val_images: ImageSet,
    val_set: Split,
    test_predictions: pd.DataFrame,
    params: EvaluateParams,
    device: torch.device,
) -> tuple[dict[str, float], pd.DataFrame]:
    """Fit a temperature on validation images, and measure the calibration error with it on test images.

    Args:
        val_images: the image set that holds the validation images, which is ``train_images``.

    Returns:
        A dictionary with ``temperature``, ``ece_after_temperature``, ``val_accuracy``, ``num_val_images`` and what
        :func:`.groups.count_groups` gives, and the table ``reliability`` (:func:`tabulate_reliability`).
    """
    p_val = predict_probabilities(model, val_images, val_set.indices, params.batch_size, device)
    val_labels = val_images.labels[val_set.indices]
    temperature = fit_temperature(p_val, val_labels)
    p_test, labels = probabilities(test_predictions), test_predictions["label"].to_numpy()
    ece = expected_calibration_error(apply_temperature(p_test, temperature), labels, params.num_bins)
    measured = {"temperature": temperature, "ece_after_temperature": ece}
    right = p_val.argmax(1) == val_labels
    measured |= {"val_accuracy": float(right.mean()), "num_val_images": len(val_labels)}
    measured |= count_groups("val", right, None if val_images.groups is None else val_images.groups[val_set.indices])
    return measured, tabulate_reliability(p_test, labels, temperature, params.num_bins)


def accuracy_without(test_predictions: pd.DataFrame, near_duplicates: pd.DataFrame) -> dict[str, Any]:
    """Return the accuracy on test images without a near-duplicate among the training images.

    The accuracy is None if every test image has one.
    """
    copies = near_duplicates.loc[near_duplicates["split"] == "test", "index"]
    copied = test_predictions["index"].isin(copies)
    rest = test_predictions[~copied]
    right = int((rest["label"] == rest["prediction"]).sum())
    return {
        "num_near_duplicates": int(copied.sum()),
        "test_accuracy_without_near_duplicates": right / len(rest) if len(rest) else None,
    }
