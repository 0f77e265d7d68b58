"""Nodes of the ``explain`` stage."""

from typing import Any

from ...vision.data.image_set import ImageSet
from ...vision.explain.params import ExplainParams
from ...vision.types import Classifier, DataFrame, Figure


def collect_misclassified(test_predictions: DataFrame, explain: ExplainParams) -> DataFrame:
    """Choose the mistakes to explain.

    Returns:
        misclassified: rows of ``test_predictions`` in display order.
    """
    from ...vision.explain.selection import select_misclassified

    return select_misclassified(test_predictions, explain)


def gradcam_report(
    model: Classifier,
    test_images: ImageSet,
    misclassified: DataFrame,
    provenance: dict[str, Any],
    training_history: DataFrame,
    training_timing: DataFrame,
    lr_curve: DataFrame,
    best_lr: dict[str, Any],
    metrics: dict[str, Any],
    test_predictions: DataFrame,
    explain: ExplainParams,
    device: str,
) -> tuple[Figure, str]:
    """Explain each chosen mistake by Grad-CAM of the predicted class, and tell the whole story on one page.

    Returns:
        gradcam_gallery, report (HTML).
    """
    from ...vision.device import choose_device
    from ...vision.evaluation.confusion import plot_confusion_matrix
    from ...vision.evaluation.metrics import check_same_data, check_same_images
    from ...vision.explain.gallery import plot_gradcam_gallery
    from ...vision.explain.gradcam import compute_cams
    from ...vision.explain.report import build_report
    from ...vision.lr_search.plot import plot_lr_curve
    from ...vision.training.curves import plot_accuracy_curves, plot_loss_curves

    check_same_data(model, test_images)
    check_same_images(provenance, test_images)
    title = str(test_images.source.get("title", ""))
    images_nhwc = test_images.images_nhwc[misclassified["index"].to_numpy()]
    cams = compute_cams(
        model,
        images_nhwc,
        misclassified["prediction"].to_numpy(),
        method=explain.method,
        layer=explain.layer,
        device=choose_device(device),
    )
    report = build_report(
        misclassified=misclassified,
        images_nhwc=images_nhwc,
        cams=cams,
        metrics=metrics,
        test_predictions=test_predictions,
        history=training_history,
        timing=training_timing,
        best_lr=best_lr,
        provenance=provenance,
        params=explain,
        figures={
            "accuracy_curves": plot_accuracy_curves(training_history, "Accuracy"),
            "loss_curves": plot_loss_curves(training_history, "Loss"),
            "lr_curve_plot": plot_lr_curve(lr_curve, best_lr, "Learning-rate range test"),
            "confusion_matrix": plot_confusion_matrix(test_predictions, "Confusion matrix"),
        },
    )
    return plot_gradcam_gallery(images_nhwc, misclassified, cams, title=f"{title}: misclassified test images"), report
