"""Compute class activation maps of misclassified images, and of images with a planted tag, if there is one."""

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch

from ...identity.digests import sha256_of
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
    """Compute two class activation maps of each image in ``misclassified``: for its predicted and for its true class.

    Args:
        misclassified: rows of ``test_predictions``, in display order.
        planted: the planted shortcut (:func:`~..data.planted.planted_shortcut`); if there is one, its class is also
            explained on tagged test images.
    """
    indices = misclassified["index"].to_numpy(np.int64)
    compute = partial(compute_cams, model, method=params.method, layer=params.layer, device=device)
    predicted_nhw, true_nhw = (
        compute(images.images_nhwc[indices], misclassified[column].to_numpy(int)) for column in ("prediction", "label")
    )
    shortcut = explain_shortcut(compute, model, images, planted, device)
    digest = f"sha256:{sha256_of(classifier_to_bytes(model))}"
    return Cams(indices, predicted_nhw, true_nhw, params.model_dump(mode="json"), digest, *shortcut)
