"""Predict the user's own images with a stored model; nothing but the model file is needed."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ..data.image_files import large_images_allowed, printable
from ..data.loader import cap_batch_size
from ..data.resize import UnreadableImage
from ..data.sources.decoding import list_some
from ..errors import UserError
from ..network.classifier import Classifier
from ..progress import progress_bar
from ..report.panels import NOTE, CaptionLine, Panel, draw_panels
from .images import ImageLike, find_images, read_batches, square_pixels
from .params import PredictParams
from .table import prediction_table, readable_rows

_log = logging.getLogger(__name__)


def predict_images(
    model: Classifier, params: PredictParams, *, device: torch.device | str
) -> tuple[pd.DataFrame, NDArray[np.uint8]]:
    """Classify an image file or all images of a folder, resized by the rule that is stored in the model.

    Only one batch of pixels is in memory at a time, besides the gallery. Computation is in fp32, as in the evaluation
    stage, so a test image that is saved losslessly gets the same probabilities here.

    Args:
        model: put into evaluation mode; on the CPU afterwards.
        params: ``path``, ``batch_size``, ``top_k``, ``num_gallery_images``.
        device: device that computes.

    Returns:
        predictions: :func:`~.table.prediction_table`, one row per file, in order of path. ``file`` is relative to the
            folder, with "/"; bytes that are not Unicode are escaped.
        gallery_images_nhwc: uint8 (N, H, H, 3), the first ``num_gallery_images`` readable images.

    Raises:
        UserError: the path is missing or does not exist, contains no images, or none that can be read.
    """
    files = find_images(params.path)
    height, width = model.spec.image_size
    probabilities_nk = np.full((len(files), len(model.class_names)), np.nan)
    reasons: dict[int, str] = {}
    gallery: list[NDArray[np.uint8]] = []
    model = model.to(device).eval()
    with large_images_allowed(), progress_bar("predict", len(files), "images") as bar:
        for batch in read_batches(files, height, cap_batch_size(params.batch_size, (height, width))):
            images = {position: image for position, image in batch.items() if not isinstance(image, UnreadableImage)}
            if images:
                images_nhwc = np.stack([*images.values()])
                probabilities_nk[[*images]] = _probabilities(model, images_nhwc)
                gallery.extend(images_nhwc[: params.num_gallery_images - len(gallery)])
            reasons |= {position: str(reason) for position, reason in batch.items() if position not in images}
            bar.advance(len(batch))
    model.cpu()
    names = _relative_names(files, params.path)
    if reasons:
        examples = list_some([f"{names[position]}: {reason}" for position, reason in reasons.items()], "; ", most=3)
        setting = f"predict.path={params.path}"
        if len(reasons) == len(files):
            raise UserError(
                f"{setting}: no image could be read ({examples}); give images in a format that Pillow opens"
            )
        _log.warning(
            "%s: %d of %d files could not be read (%s); the column error of predictions has the reason for each",
            *(setting, len(reasons), len(files), examples),
        )
    table = prediction_table(names, probabilities_nk, reasons, model.class_names, params.top_k)
    return table, np.stack(gallery)


def _relative_names(files: list[Path], path: str | None) -> list[str]:
    root = Path(str(path)).expanduser()
    return [printable(file.name if file == root else file.relative_to(root).as_posix()) for file in files]


def classify_images(model: Classifier, images: Sequence[ImageLike], device: torch.device | str) -> NDArray[np.float64]:
    """Compute class probabilities (N, K) of the given images; resizing and precision are as in predict_images.

    Args:
        model: put into evaluation mode; on the CPU afterwards.
        images: paths of files, Pillow images, or uint8 arrays (H, W, 3).
        device: device that computes.

    Raises:
        UserError: an image cannot be read.
    """
    height, width = model.spec.image_size
    batch_size = cap_batch_size(PredictParams().batch_size, (height, width))
    probabilities_nk = np.empty((len(images), len(model.class_names)))
    model = model.to(device).eval()
    with large_images_allowed():
        for start in range(0, len(images), batch_size):
            chosen = slice(start, start + batch_size)
            images_nhwc = np.stack([square_pixels(image, height) for image in images[chosen]])
            probabilities_nk[chosen] = _probabilities(model, images_nhwc)
    model.cpu()
    return probabilities_nk


def _probabilities(model: Classifier, images_nhwc: NDArray[np.uint8]) -> NDArray[np.float64]:
    return np.asarray(model.probabilities(torch.from_numpy(images_nhwc).permute(0, 3, 1, 2)))


def plot_predictions_gallery(
    gallery_images_nhwc: NDArray[np.uint8],
    predictions: pd.DataFrame,
    cams_nhw: NDArray[np.float32],
    *,
    title: str,
) -> Figure:
    """Draw the first readable images beside their class activation maps, with prediction, confidence and file name.

    Args:
        gallery_images_nhwc: uint8 (N, H, H, 3), from :func:`predict_images`; N may be 0.
        predictions: the table from the same call.
        cams_nhw: float32 (N, H, H) in [0, 1], maps for the predicted classes; blank maps are marked.
        title: title above the panels.
    """
    rows = readable_rows(predictions, len(gallery_images_nhwc))
    panels = [
        Panel(
            image_hwc,
            cam_hw[None],
            (
                CaptionLine(str(row["prediction_name"]), suffix=f"{row['confidence']:.1%}", bold=True),
                CaptionLine(str(row["file"]), color=NOTE, keep_end=True),
            ),
        )
        for image_hwc, cam_hw, (_, row) in zip(gallery_images_nhwc, cams_nhw, rows.iterrows(), strict=True)
    ]
    subtitle = "left: the image as the model gets it; right: where the evidence for the prediction is"
    return draw_panels(panels, title=title, subtitle=subtitle, empty_message="None of the files could be read.")
