"""The figure of the misclassified images."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ..explain.cams import is_blank
from .overlay import overlay_cam, overlay_difference
from .panels import CaptionLine, Panel, draw_panels

SUBTITLE = (
    "from left: the image; where the evidence for the prediction lies; for the truth; the difference "
    "(red: the prediction's, blue: the truth's)"
)


def plot_gradcam_gallery(
    images_nhwc: NDArray[np.uint8],
    misclassified: pd.DataFrame,
    cams_nhw: NDArray[np.float32],
    true_cams_nhw: NDArray[np.float32],
    *,
    title: str,
    subtitle: str = SUBTITLE,
) -> Figure:
    """Draw each misclassified image beside its maps, with prediction, ground truth and dataset index.

    Args:
        images_nhwc: uint8 (N, H, H, 3), RGB, in the order of ``misclassified``; N may be 0.
        misclassified: N rows with ``index``, ``label_name``, ``prediction_name``, ``confidence`` and
            ``p_<class>``; ``path`` is shown where there is one.
        cams_nhw: float32 (N, H, H) in [0, 1], for the predicted class; blank ones are drawn as such.
        true_cams_nhw: likewise, for the true class.
        title, subtitle: above the panels.
    """
    assert len(images_nhwc) == len(misclassified) == len(cams_nhw) == len(true_cams_nhw)
    panels = []
    blank, true_blank = is_blank(cams_nhw), is_blank(true_cams_nhw)
    for i, (_, row) in enumerate(misclassified.iterrows()):
        image_hwc, cam_hw, true_cam_hw = images_nhwc[i], cams_nhw[i], true_cams_nhw[i]
        more: tuple[Callable[[int], NDArray[np.uint8]] | None, ...] = (
            None if true_blank[i] else partial(overlay_cam, image_hwc, true_cam_hw),
            None if blank[i] or true_blank[i] else partial(overlay_difference, image_hwc, cam_hw, true_cam_hw),
        )
        panels.append(Panel(image_hwc, None if blank[i] else cam_hw, _caption(row), more))
    return draw_panels(
        panels, title=title, subtitle=subtitle, empty_message="The model makes no mistake on these images."
    )


def _caption(row: pd.Series) -> tuple[CaptionLine, ...]:
    truth, path = str(row["label_name"]), row.get("path")
    where = f"test image {row['index']}" + (f", {path}" if isinstance(path, str) and path else "")
    return (
        CaptionLine(str(row["prediction_name"]), "predicted", f"{row['confidence']:.1%}", "wrong", bold=True),
        CaptionLine(truth, "truth", f"{row['p_' + truth]:.1%}", "right", bold=True),
        CaptionLine(where, color="note", keep_end=True),
    )
