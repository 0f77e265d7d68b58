"""Node of the ``predict`` stage, which classifies the user's own images."""

from ...vision.explain.params import ExplainParams
from ...vision.predict.params import PredictParams
from ...vision.types import Classifier, DataFrame, Figure


def predict_images(
    model: Classifier, predict: PredictParams, explain: ExplainParams, device: str
) -> tuple[DataFrame, Figure]:
    """Classify the user's own image file or folder of images; only the stored model is needed.

    Returns:
        predictions, predictions_gallery.
    """
    from ...vision.device import choose_device
    from ...vision.explain.gradcam import compute_cams, find_blocks
    from ...vision.predict import predictor
    from ...vision.predict.table import readable_rows

    chosen = choose_device(device)
    find_blocks(model, explain.layer)  # check before hours of predicting that the network has the layer explain.layer
    predictions, images_nhwc = predictor.predict_images(model, predict, device=chosen)
    shown = readable_rows(predictions, len(images_nhwc))
    targets = shown["prediction"].to_numpy(int)
    cams = compute_cams(model, images_nhwc, targets, method=explain.method, layer=explain.layer, device=chosen)
    title = f"Predictions by a model of {model.spec.title or 'unnamed data'}"
    return predictions, predictor.plot_predictions_gallery(images_nhwc, predictions, cams, title=title)
