"""The report's figures, drawn anew from the stored tables."""

from dataclasses import replace
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from ..data.augmented import AugmentedSet
from ..data.image_set import ImageSet
from ..data.preview import plot_augmentation_preview
from ..evaluation.calibration import plot_reliability
from ..evaluation.confusion import plot_confusion_matrix
from ..lr_search.plot import plot_lr_curve
from ..training.curves import plot_accuracy_curves, plot_loss_curves
from .cam_check_plot import plot_cam_check

_NUM_PREVIEW_ROWS = 4


def draw_figures(
    train_images: ImageSet,
    train_set: AugmentedSet,
    provenance: dict[str, Any],
    history: pd.DataFrame,
    lr_curve: pd.DataFrame,
    best_lr: dict[str, Any],
    test_predictions: pd.DataFrame,
    reliability: pd.DataFrame,
    cam_check: dict[str, Any],
) -> dict[str, Figure]:
    """By the names that the report's templates know.

    Args:
        train_set: of the images that the model was trained on; their transforms are read from ``provenance``.
    """
    if provenance.get("model", {}).get("lr_from") == "train.lr":
        # the rate was given: no reading of the range test was taken
        best_lr = {**best_lr, "method": "train.lr"}
    # as training saw them: transforms and seeds of the parameters may be others by now
    augment, train = provenance.get("augment", {}), provenance.get("train", {})
    mean = augment.get("pixel_mean", train_set.mean)
    as_trained = replace(train_set, transforms=augment.get("train", train_set.transforms), mean=tuple(mean))
    seed, epochs = int(train.get("seed", 0)), int(train.get("epochs", 1))
    return {
        "accuracy_curves": plot_accuracy_curves(history, train, "Accuracy"),
        "loss_curves": plot_loss_curves(history, train, "Loss"),
        "augmentation_preview": plot_augmentation_preview(train_images, as_trained, _NUM_PREVIEW_ROWS, seed, epochs),
        "lr_curve_plot": plot_lr_curve(lr_curve, best_lr, "Learning-rate range test"),
        "confusion_matrix": plot_confusion_matrix(test_predictions, "Confusion matrix"),
        "reliability_diagram": plot_reliability(reliability, "Reliability on test images"),
        "cam_check_plot": plot_cam_check(cam_check, "What removing pixels does to the prediction"),
    }
