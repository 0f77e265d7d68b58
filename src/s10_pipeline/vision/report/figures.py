"""The report's figures, drawn anew from the stored tables."""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from ..data.image_set import ImageSet
from ..data.preview import plot_augmentation_preview
from ..evaluation.calibration import plot_reliability
from ..evaluation.confusion import plot_confusion_matrix
from ..explain.cam_check_plot import plot_cam_check
from ..lr_search.plot import plot_lr_curve
from ..training.curves import plot_accuracy_curves, plot_loss_curves


def draw_figures(
    augmented_examples: ImageSet,
    provenance: dict[str, Any],
    history: pd.DataFrame,
    lr_curve: pd.DataFrame,
    best_lr: dict[str, Any],
    test_predictions: pd.DataFrame,
    reliability: pd.DataFrame,
    cam_check: dict[str, Any],
) -> dict[str, Figure]:
    """Draw them by the names that the report's templates know."""
    if provenance.get("model", {}).get("lr_from") == "train.lr":
        # the rate was given: no reading of the range test was taken
        best_lr = {**best_lr, "method": "train.lr"}
    train = provenance.get("train", {})
    return {
        "accuracy_curves": plot_accuracy_curves(history, train, "Accuracy"),
        "loss_curves": plot_loss_curves(history, train, "Loss"),
        "augmentation_preview": plot_augmentation_preview(augmented_examples),
        "lr_curve_plot": plot_lr_curve(lr_curve, best_lr, "Learning-rate range test"),
        "confusion_matrix": plot_confusion_matrix(test_predictions, "Confusion matrix"),
        "reliability_diagram": plot_reliability(reliability, "Reliability on test images"),
        "cam_check_plot": plot_cam_check(cam_check, "What removing pixels does to the prediction"),
    }
