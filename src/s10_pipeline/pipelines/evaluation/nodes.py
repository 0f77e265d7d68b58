"""Nodes of the ``evaluation`` stage."""

from typing import Any

from ...vision.data.image_set import ImageSet
from ...vision.data.split import Split
from ...vision.evaluation.checks import check_provenance
from ...vision.evaluation.params import EvaluateParams
from ...vision.types import Classifier, DataFrame, Figure


def find_near_duplicates(
    train_images: ImageSet, test_images: ImageSet, train_set: Split, val_set: Split, evaluate: EvaluateParams
) -> DataFrame:
    """Find test and validation images that have a near-duplicate among the training images.

    Returns:
        near_duplicates: candidates, which a person has to check.
    """
    from ...vision.evaluation import duplicates

    similarity = evaluate.duplicate_similarity
    return duplicates.find_near_duplicates(train_images, test_images, train_set, val_set, similarity)


def evaluate(
    model: Classifier,
    train_images: ImageSet,
    test_images: ImageSet,
    val_set: Split,
    test_set: Split,
    near_duplicates: DataFrame,
    provenance: dict[str, Any],
    evaluate: EvaluateParams,
    device: str,
) -> tuple[dict[str, Any], DataFrame, Figure, DataFrame, DataFrame, Figure]:
    """Measure the stored model on the test images, and fit a temperature for calibration on the validation images.

    Returns:
        metrics, test_predictions, confusion_matrix, class_metrics, reliability, reliability_diagram.
    """
    from ...vision.device import choose_device
    from ...vision.evaluation.calibration import plot_reliability
    from ...vision.evaluation.classes import measure_classes
    from ...vision.evaluation.confusion import plot_confusion_matrix
    from ...vision.evaluation.metrics import accuracy_without, calibrate, evaluate_classifier

    check_provenance(provenance, val_set, train=train_images, test=test_images)
    chosen = choose_device(device)
    metrics, predictions = evaluate_classifier(model, test_images, test_set, evaluate, chosen)
    calibration, reliability = calibrate(model, train_images, val_set, predictions, evaluate, chosen)
    metrics |= calibration
    if evaluate.duplicate_similarity is not None:
        metrics |= accuracy_without(predictions, near_duplicates)
    source = str(test_images.source.get("title", ""))
    title = f"{source}: test accuracy {metrics['test_accuracy']:.2%}"
    figures = plot_confusion_matrix(predictions, title), plot_reliability(reliability, f"Reliability, {source}")
    return metrics, predictions, figures[0], measure_classes(predictions), reliability, figures[1]


def find_label_errors(
    model: Classifier,
    train_images: ImageSet,
    test_images: ImageSet,
    train_margins: DataFrame,
    provenance: dict[str, Any],
    evaluate: EvaluateParams,
    device: str,
) -> DataFrame:
    """Find training, validation and test images whose label may be wrong, by their margins during training.

    Returns:
        label_error_candidates.
    """
    from ...vision.device import choose_device
    from ...vision.evaluation import label_errors
    from ...vision.evaluation.metrics import predict_probabilities

    check_provenance(provenance, train=train_images, test=test_images)
    return label_errors.find_label_errors(
        train_margins,
        train_images,
        test_images,
        lambda images, rows: predict_probabilities(model, images, rows, evaluate.batch_size, choose_device(device)),
    )


def probe_shortcut(
    model: Classifier,
    test_images: ImageSet,
    test_set: Split,
    provenance: dict[str, Any],
    evaluate: EvaluateParams,
    device: str,
) -> DataFrame:
    """Measure how predictions change when the planted shortcut (tag on one training class) is added to test images.

    Returns:
        shortcut_probe: empty without a planted shortcut.
    """
    from ...vision.data.planted import planted_shortcut
    from ...vision.device import choose_device
    from ...vision.evaluation import shortcut

    check_provenance(provenance, test=test_images)
    planted = planted_shortcut(provenance)
    return shortcut.probe_shortcut(model, test_images, test_set, planted, evaluate, choose_device(device))


def judge(
    train_images: ImageSet,
    train_set: Split,
    provenance: dict[str, Any],
    metrics: dict[str, Any],
    test_predictions: DataFrame,
    class_metrics: DataFrame,
    label_error_candidates: DataFrame,
    train_margins: DataFrame,
    near_duplicates: DataFrame,
    shortcut_probe: DataFrame,
    evaluate: EvaluateParams,
) -> list[dict[str, Any]]:
    """Decide from stored results which faults model and data have, such as wrong labels, duplicates or a shortcut.

    Returns:
        verdicts: one per question; each is found, not found or unknown.
    """
    from ...vision.evaluation import judge as judges
    from ...vision.evaluation.label_errors import judge_labels

    check_provenance(provenance, train_set, train=train_images)
    train_labels = train_images.labels[train_set.indices]
    verdicts = (
        judges.judge_accuracy(metrics),
        judges.judge_baseline(train_labels, test_predictions),
        judges.judge_classes(train_labels, class_metrics),
        judges.judge_shortcut(shortcut_probe, provenance),
        judges.judge_duplicates(near_duplicates, metrics),
        judges.judge_shift(metrics),
        judge_labels(label_error_candidates, train_margins, class_metrics, metrics),
        judges.judge_calibration(metrics, test_predictions, evaluate.num_bins),
        judges.judge_schedule(provenance),
    )
    return [verdict.as_dict() for verdict in verdicts]
