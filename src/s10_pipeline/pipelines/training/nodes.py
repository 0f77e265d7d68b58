"""Node of the ``training`` stage, which trains the network."""

from typing import Any

from ...vision.data.image_set import ImageSet
from ...vision.data.split import Split
from ...vision.training.params import TrainParams
from ...vision.types import CheckpointStore, Classifier, DataFrame, Figure


def train_resnet(
    train_images: ImageSet,
    test_images: ImageSet,
    train_set: Split,
    val_set: Split,
    test_set: Split,
    best_lr: dict[str, Any],
    checkpoints: CheckpointStore,
    train: TrainParams,
) -> tuple[Classifier, DataFrame, DataFrame, DataFrame, Figure, dict[str, Any]]:
    """Train a ResNet, at the learning rate ``train.lr`` or, if that is null, at the one from the range test.

    Returns:
        model, training_history, training_timing, train_margins, accuracy_curves, provenance.
    """
    from ...vision.distributed import choose_run
    from ...vision.training.curves import plot_accuracy_curves
    from ...vision.training.data import TrainingData
    from ...vision.training.engine import train_classifier
    from ...vision.training.provenance import describe_training

    data = TrainingData(train_images, test_images, train_set, val_set, test_set)
    result = train_classifier(data, train.rate(best_lr), train, checkpoints, choose_run(train))
    title = f"Accuracy, {train_images.source.get('title', '')}"
    provenance = describe_training(data, best_lr, train, result)
    curves = plot_accuracy_curves(result.history, title)
    return result.model, result.history, result.timing, result.margins, curves, provenance
