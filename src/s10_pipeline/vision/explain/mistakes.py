"""The maps of the misclassified images, and of the shortcut probe where there is one."""

import hashlib
from typing import Any

import numpy as np
import pandas as pd
import torch

from ..data.image_set import ImageSet
from ..network.classifier import Classifier, classifier_to_bytes
from .cams import Cams
from .gradcam import compute_cams
from .params import ExplainParams
from .shortcut_maps import explain_shortcut


def explain_mistakes(
    model: Classifier,
    images: ImageSet,
    misclassified: pd.DataFrame,
    planted: dict[str, Any] | None,
    params: ExplainParams,
    device: torch.device | str,
) -> Cams:
    """Compute the maps of each misclassified image for its predicted and its true class.

    Args:
        misclassified: rows of ``test_predictions``, in display order.
        planted: of :func:`~..data.planted.planted_shortcut`; its class is explained on tagged test images too.
    """
    indices = misclassified["index"].to_numpy(np.int64)
    predicted_nhw, true_nhw = (
        compute_cams(
            model,
            images.images_nhwc[indices],
            misclassified[column].to_numpy(int),
            method=params.method,
            layer=params.layer,
            device=device,
        )
        for column in ("prediction", "label")
    )
    shortcut, shortcut_nhw = None, np.empty((0, *images.image_size), np.float32)
    if planted:
        shortcut, shortcut_nhw = explain_shortcut(model, images, planted, params, device)
    return Cams(
        indices=indices,
        predicted_nhw=predicted_nhw,
        true_nhw=true_nhw,
        params=params.model_dump(mode="json"),
        model=f"sha256:{hashlib.sha256(classifier_to_bytes(model)).hexdigest()}",
        shortcut=shortcut,
        shortcut_nhw=shortcut_nhw,
    )
