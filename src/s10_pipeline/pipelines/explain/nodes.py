"""Nodes of the ``explain`` stage."""

from typing import Any

from ...vision.data.image_set import ImageSet
from ...vision.data.split import Split
from ...vision.explain.cams import Cams
from ...vision.explain.params import ExplainParams
from ...vision.types import Classifier, DataFrame, Figure


def collect_misclassified(test_predictions: DataFrame, explain: ExplainParams) -> DataFrame:
    """Choose the mistakes to explain.

    Returns:
        misclassified: rows of ``test_predictions`` in display order.
    """
    from ...vision.explain.selection import select_misclassified

    return select_misclassified(test_predictions, explain)


def compute_cams(
    model: Classifier,
    train_images: ImageSet,
    test_images: ImageSet,
    train_set: Split,
    misclassified: DataFrame,
    shortcut_probe: DataFrame,
    provenance: dict[str, Any],
    explain: ExplainParams,
    device: str,
) -> tuple[Cams, ImageSet]:
    """Compute what the report shows and cannot make itself: maps need the network, examples the transforms.

    Returns:
        cams, augmented_examples.
    """
    from ...vision.data.examples import draw_training_examples
    from ...vision.data.planted import planted_shortcut
    from ...vision.device import choose_device
    from ...vision.evaluation.checks import check_same_data, check_same_images, check_same_split
    from ...vision.explain.mistakes import explain_mistakes

    check_same_data(model, test_images)
    check_same_images(provenance, train_images, "train")
    check_same_images(provenance, test_images)
    check_same_split(provenance, train_set)
    planted = planted_shortcut(provenance) if len(shortcut_probe) else None
    cams = explain_mistakes(model, test_images, misclassified, planted, explain, choose_device(device))
    return cams, draw_training_examples(train_images, train_set, provenance, num_rows=4)


def check_cams(
    model: Classifier, test_images: ImageSet, test_predictions: DataFrame, cams: Cams, device: str
) -> tuple[dict[str, Any], Figure]:
    """Check whether the maps of mistakes deserve trust: of up to 200 drawn at random, not of those that are shown.

    Returns:
        cam_check, cam_check_plot.
    """
    from ...vision.device import choose_device
    from ...vision.explain import faithfulness, gradcam
    from ...vision.explain.cam_check_plot import plot_cam_check
    from ...vision.explain.selection import draw_mistakes

    chosen = choose_device(device)
    drawn = draw_mistakes(test_predictions, faithfulness.MAX_MAPS, cams.params["seed"])
    images_nhwc, targets = test_images.images_nhwc[drawn["index"]], drawn["prediction"].to_numpy(int)
    method, layer = cams.params["method"], cams.params["layer"]
    cams_nhw = gradcam.compute_cams(model, images_nhwc, targets, method=method, layer=layer, device=chosen)
    grids = gradcam.find_grids(model, layer, test_images.image_size)
    cam_check = faithfulness.check_cams(
        model, images_nhwc, targets, cams_nhw, grids, seed=cams.params["seed"], device=chosen
    )
    return cam_check, plot_cam_check(cam_check, f"Check of the maps, {test_images.source.get('title', '')}")


def gradcam_report(
    train_images: ImageSet,
    test_images: ImageSet,
    augmented_examples: ImageSet,
    misclassified: DataFrame,
    cams: Cams,
    cam_check: dict[str, Any],
    verdicts: list[dict[str, Any]],
    provenance: dict[str, Any],
    training_history: DataFrame,
    training_timing: DataFrame,
    lr_curve: DataFrame,
    best_lr: dict[str, Any],
    metrics: dict[str, Any],
    test_predictions: DataFrame,
    class_metrics: DataFrame,
    reliability: DataFrame,
    label_error_candidates: DataFrame,
    near_duplicates: DataFrame,
    shortcut_probe: DataFrame,
) -> tuple[Figure, str]:
    """Tell the whole story on one page, from what is stored: without a network, without torch.

    Returns:
        gradcam_gallery, report (HTML).
    """
    from ...vision.evaluation.checks import check_same_images
    from ...vision.report.figures import draw_figures
    from ...vision.report.gallery import plot_gradcam_gallery
    from ...vision.report.page import ReportInputs, build_report

    check_same_images(provenance, train_images, "train")
    check_same_images(provenance, test_images)
    inputs = ReportInputs(
        train_images=train_images,
        test_images=test_images,
        augmented_examples=augmented_examples,
        misclassified=misclassified,
        cams=cams,
        cam_check=cam_check,
        verdicts=verdicts,
        provenance=provenance,
        history=training_history,
        timing=training_timing,
        lr_curve=lr_curve,
        best_lr=best_lr,
        metrics=metrics,
        test_predictions=test_predictions,
        class_metrics=class_metrics,
        reliability=reliability,
        label_error_candidates=label_error_candidates,
        near_duplicates=near_duplicates,
        shortcut_probe=shortcut_probe,
    )
    gallery = plot_gradcam_gallery(
        test_images.images_nhwc[cams.indices],
        misclassified,
        cams.predicted_nhw,
        cams.true_nhw,
        title=f"{test_images.source.get('title', '')}: misclassified test images",
    )
    return gallery, build_report(inputs, draw_figures(inputs))
