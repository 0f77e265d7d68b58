"""The figure of the misclassified images."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from .gradcam import is_blank
from .panels import CaptionLine, Panel, draw_panels


def plot_gradcam_gallery(
    images_nhwc: NDArray[np.uint8],
    misclassified: pd.DataFrame,
    cams_nhw: NDArray[np.float32],
    *,
    title: str,
    subtitle: str = "left: the image; right: where the evidence for the predicted class lies",
) -> Figure:
    """Draw each misclassified image beside its map, with prediction, ground truth and dataset index.

    Args:
        images_nhwc: uint8 (N, H, H, 3), RGB, in the order of ``misclassified``; N may be 0.
        misclassified: N rows with ``index``, ``label_name``, ``prediction_name``, ``confidence`` and
            ``p_<class>``.
        cams_nhw: float32 (N, H, H) in [0, 1], for the predicted class; blank ones are drawn as such.
        title, subtitle: above the panels.
    """
    assert len(images_nhwc) == len(misclassified) == len(cams_nhw)
    panels = [
        Panel(image_hwc, None if blank else cam_hw, _caption(row))
        for image_hwc, cam_hw, blank, (_, row) in zip(
            images_nhwc, cams_nhw, is_blank(cams_nhw), misclassified.iterrows(), strict=True
        )
    ]
    return draw_panels(
        panels, title=title, subtitle=subtitle, empty_message="The model makes no mistake on these images."
    )


def _caption(row: pd.Series) -> tuple[CaptionLine, ...]:
    truth = str(row["label_name"])
    return (
        CaptionLine(str(row["prediction_name"]), "predicted", f"{row['confidence']:.1%}", "wrong", bold=True),
        CaptionLine(truth, "truth", f"{row['p_' + truth]:.1%}", "right", bold=True),
        CaptionLine(f"test image {row['index']}", color="note"),
    )
