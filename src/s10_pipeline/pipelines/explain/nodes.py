"""Nodes of the ``explain`` stage."""

from typing import Any

from ...vision.data.augmented import AugmentedSet
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
    train_images: ImageSet,
    test_images: ImageSet,
    train_set: AugmentedSet,
    misclassified: DataFrame,
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
    explain: ExplainParams,
    device: str,
) -> tuple[Figure, str, dict[str, Any], Figure]:
    """Explain each chosen mistake by the maps of both classes, check the maps, and tell the whole story on one page.

    Returns:
        gradcam_gallery, report (HTML), cam_check, cam_check_plot.
    """
    from ...vision.device import choose_device
    from ...vision.evaluation.checks import check_same_data, check_same_images, check_same_split
    from ...vision.evaluation.shortcut import planted_shortcut
    from ...vision.explain import story
    from ...vision.explain.cam_check_plot import plot_cam_check
    from ...vision.explain.faithfulness import check_cams
    from ...vision.explain.gallery import plot_gradcam_gallery
    from ...vision.explain.gradcam import compute_cams
    from ...vision.explain.report import ReportInputs, build_report
    from ...vision.explain.report_figures import draw_figures
    from ...vision.explain.shortcut_maps import explain_shortcut

    check_same_data(model, test_images)
    check_same_images(provenance, train_images, "train")
    check_same_images(provenance, test_images)
    check_same_split(provenance, train_set)
    chosen = choose_device(device)
    images_nhwc = test_images.images_nhwc[misclassified["index"].to_numpy(int)]
    targets = misclassified["prediction"].to_numpy(int)
    cams, true_cams = (
        compute_cams(model, images_nhwc, classes, method=explain.method, layer=explain.layer, device=chosen)
        for classes in (targets, misclassified["label"].to_numpy(int))
    )
    cam_check = check_cams(model, images_nhwc, targets, cams, seed=explain.seed, device=chosen)
    planted = planted_shortcut(provenance)
    figures = draw_figures(
        train_images,
        train_set,
        provenance,
        training_history,
        lr_curve,
        best_lr,
        test_predictions,
        reliability,
        cam_check,
    )
    report = build_report(
        ReportInputs(
            train_images=train_images,
            test_images=test_images,
            misclassified=misclassified,
            cams_nhw=cams,
            true_cams_nhw=true_cams,
            metrics=metrics,
            test_predictions=test_predictions,
            class_metrics=class_metrics,
            reliability=reliability,
            label_error_candidates=label_error_candidates,
            near_duplicates=near_duplicates,
            shortcut_probe=shortcut_probe,
            history=training_history,
            timing=training_timing,
            best_lr=best_lr,
            provenance=provenance,
            cam_check=cam_check,
            params=explain,
            lineage=story.trace_lineage(provenance, model, test_predictions),
            shortcut_maps=explain_shortcut(model, test_images, planted, explain, chosen) if planted else None,
            figures=figures,
        )
    )
    title = str(test_images.source.get("title", ""))
    gallery = plot_gradcam_gallery(
        images_nhwc, misclassified, cams, true_cams, title=f"{title}: misclassified test images"
    )
    return gallery, report, cam_check, plot_cam_check(cam_check, f"Check of the maps, {title}")
