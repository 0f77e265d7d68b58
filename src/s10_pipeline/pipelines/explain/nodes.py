"""Nodes of the ``explain`` stage."""

from typing import Any

from ...vision.data.image_set import ImageSet
from ...vision.data.split import Split
from ...vision.evaluation.checks import check_provenance, check_same_data
from ...vision.explain.cams import Cams
from ...vision.explain.params import ExplainParams
from ...vision.report.inputs import ReportInputs
from ...vision.types import Classifier, DataFrame, Figure


def collect_misclassified(test_predictions: DataFrame, explain: ExplainParams) -> DataFrame:
    """Choose the misclassified test images to explain.

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
    test_predictions: DataFrame,
    misclassified: DataFrame,
    shortcut_probe: DataFrame,
    provenance: dict[str, Any],
    explain: ExplainParams,
    device: str,
) -> tuple[Cams, ImageSet]:
    """Compute class activation maps and examples of augmented images for the report, which is rendered without torch.

    Returns:
        cams, augmented_examples.
    """
    from ...vision.data.examples import draw_training_examples
    from ...vision.data.planted import planted_shortcut
    from ...vision.device import choose_device
    from ...vision.evaluation.metrics import check_predictions
    from ...vision.explain.mistakes import explain_mistakes

    check_same_data(model, test_images)
    check_provenance(provenance, train_set, train=train_images, test=test_images)
    chosen = choose_device(device)
    check_predictions(model, test_images, test_predictions, chosen)
    planted = planted_shortcut(provenance) if len(shortcut_probe) else None
    cams = explain_mistakes(model, test_images, misclassified, planted, explain, chosen)
    return cams, draw_training_examples(train_images, train_set, provenance, num_rows=4)


def check_cams(
    model: Classifier, test_images: ImageSet, test_predictions: DataFrame, cams: Cams, device: str
) -> tuple[dict[str, Any], Figure]:
    """Check how far class activation maps can be trusted, on up to 200 misclassified images chosen at random.

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


def gradcam_report(**stored: Any) -> tuple[Figure, str]:
    """Render the report and the Grad-CAM gallery from stored results, without torch and without the model.

    Args:
        stored: the fields of :class:`~...vision.report.inputs.ReportInputs`; each is a dataset of the same name.

    Returns:
        gradcam_gallery, report (HTML).
    """
    from ...vision.report.figures import draw_figures
    from ...vision.report.gallery import plot_gradcam_gallery
    from ...vision.report.page import build_report

    inputs = ReportInputs(**stored)
    check_provenance(inputs.provenance, train=inputs.train_images, test=inputs.test_images)
    gallery = plot_gradcam_gallery(
        inputs.test_images.images_nhwc[inputs.cams.indices],
        inputs.misclassified,
        inputs.cams.predicted_nhw,
        inputs.cams.true_nhw,
        title=f"{inputs.test_images.source.get('title', '')}: misclassified test images",
    )
    return gallery, build_report(inputs, draw_figures(inputs))
