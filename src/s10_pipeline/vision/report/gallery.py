"""Draw the figure of misclassified images with their class activation maps."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from .panels import NOTE, RIGHT, WRONG, CaptionLine, Panel, draw_panels

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
) -> Figure:
    """Draw each misclassified image beside its maps, with prediction, ground truth and dataset index.

    Args:
        images_nhwc: uint8 (N, H, H, 3), RGB, in the order of ``misclassified``; N may be 0.
        misclassified: N rows with ``index``, ``label_name``, ``prediction_name``, ``confidence`` and
            ``p_<class>``; ``path`` is optional, and shown if present.
        cams_nhw: float32 (N, H, H) in [0, 1], for the predicted class; a blank map is drawn as a grey tile.
        true_cams_nhw: the same for the true class.
        title: written above the panels.
    """
    panels = [
        Panel(image_hwc, np.stack(cams), _caption(row))
        for image_hwc, (_, row), *cams in zip(
            images_nhwc, misclassified.iterrows(), cams_nhw, true_cams_nhw, strict=True
        )
    ]
    return draw_panels(
        panels, title=title, subtitle=SUBTITLE, empty_message="The model makes no mistake on these images."
    )


def _caption(row: pd.Series) -> tuple[CaptionLine, ...]:
    truth, path = str(row["label_name"]), row.get("path")
    where = f"test image {row['index']}" + (f", {path}" if isinstance(path, str) and path else "")
    return (
        CaptionLine(str(row["prediction_name"]), "predicted", f"{row['confidence']:.1%}", WRONG, bold=True),
        CaptionLine(truth, "truth", f"{row['p_' + truth]:.1%}", RIGHT, bold=True),
        CaptionLine(where, color=NOTE, keep_end=True),
    )
