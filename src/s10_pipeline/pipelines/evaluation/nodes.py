"""Node of the ``evaluation`` stage."""

import logging
from typing import Any

from ...vision.data.augmented import AugmentedSet
from ...vision.data.image_set import ImageSet
from ...vision.evaluation.params import EvaluateParams
from ...vision.types import Classifier, DataFrame, Figure

log = logging.getLogger(__name__)


def evaluate(
    model: Classifier,
    test_images: ImageSet,
    test_set: AugmentedSet,
    provenance: dict[str, Any],
    evaluate: EvaluateParams,
    device: str,
) -> tuple[dict[str, Any], DataFrame, Figure]:
    """Measure the stored model on the test images.

    Returns:
        metrics, test_predictions, confusion_matrix.
    """
    from ...vision.device import choose_device
    from ...vision.evaluation.confusion import plot_confusion_matrix
    from ...vision.evaluation.metrics import check_same_images, evaluate_classifier

    check_same_images(provenance, test_images)
    metrics, predictions = evaluate_classifier(model, test_images, test_set, evaluate, choose_device(device))
    low, high = metrics["test_accuracy_ci95"]
    log.info(
        "test accuracy %.2f %% (95 %% interval %.2f to %.2f %%) on %s",
        100 * metrics["test_accuracy"],
        100 * low,
        100 * high,
        test_images.source.get("title", ""),
    )
    title = f"{test_images.source.get('title', '')}: test accuracy {metrics['test_accuracy']:.2%}"
    return metrics, predictions, plot_confusion_matrix(predictions, title)
