"""Node of the ``evaluation`` stage."""

from typing import Any

from ...vision.data.augmented import AugmentedSet
from ...vision.data.image_set import ImageSet
from ...vision.evaluation.params import EvaluateParams
from ...vision.types import Classifier, DataFrame, Figure


def evaluate(
    model: Classifier, test_images: ImageSet, test_set: AugmentedSet, evaluate: EvaluateParams, device: str
) -> tuple[dict[str, Any], DataFrame, Figure]:
    """Measure the stored model on the test images.

    Returns:
        metrics, test_predictions, confusion_matrix.
    """
    from ...vision.device import choose_device
    from ...vision.evaluation.confusion import plot_confusion_matrix
    from ...vision.evaluation.metrics import evaluate_classifier

    metrics, predictions = evaluate_classifier(model, test_images, test_set, evaluate, choose_device(device))
    title = f"{test_images.source.get('title', '')}: test accuracy {metrics['test_accuracy']:.2%}"
    return metrics, predictions, plot_confusion_matrix(predictions, title)
