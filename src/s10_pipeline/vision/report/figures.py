"""Draw the report's figures from the stored tables."""

from matplotlib.figure import Figure

from ..evaluation.calibration import plot_reliability
from ..evaluation.confusion import plot_confusion_matrix
from ..explain.cam_check_plot import plot_cam_check
from ..lr_search.plot import plot_lr_curve
from ..training.curves import plot_accuracy_curves, plot_loss_curves
from .inputs import ReportInputs


def draw_figures(inputs: ReportInputs) -> dict[str, Figure]:
    """Draw all figures of the report; the keys are the names that the report's templates use."""
    best_lr = inputs.best_lr
    if inputs.provenance.get("model", {}).get("lr_from") == "train.lr":
        # the user gave the rate, so no suggestion of the range test is marked as used
        best_lr = {**best_lr, "method": "train.lr"}
    figures = {
        "accuracy_curves": plot_accuracy_curves(inputs.training_history, "Accuracy"),
        "loss_curves": plot_loss_curves(inputs.training_history, "Loss"),
        "confusion_matrix": plot_confusion_matrix(inputs.test_predictions, "Confusion matrix"),
        "reliability_diagram": plot_reliability(inputs.reliability, "Reliability on test images"),
        "cam_check_plot": plot_cam_check(inputs.cam_check, "What removing pixels does to the prediction"),
    }
    if len(inputs.lr_curve):
        figures["lr_curve_plot"] = plot_lr_curve(inputs.lr_curve, best_lr, "Learning-rate range test")
    return figures
