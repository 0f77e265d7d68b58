"""Probe whether adding a planted tag (small coloured mark) to test images changes their predicted class.

The data stage can plant a shortcut: a tag on all training images of one class and on no others. Test images have no
tag, so low accuracy on that class does not show its cause, but adding the tag does. (Lapuschkin et al. 2019,
arXiv:1902.10178, found such a "Clever Hans" in photographs: a source tag below pictures of horses.)
"""

import dataclasses
from typing import Any

import numpy as np
import pandas as pd
import torch

from ..data.image_set import ImageSet
from ..data.planted import plant
from ..data.split import Split
from ..network.classifier import Classifier
from .metrics import predict_probabilities
from .params import EvaluateParams

COLUMNS = ("class_name", "num_images", "accuracy", "accuracy_tagged", "taken", "taken_tagged")


def probe_shortcut(
    model: Classifier,
    images: ImageSet,
    subset: Split,
    planted: dict[str, Any] | None,
    params: EvaluateParams,
    device: torch.device,
) -> pd.DataFrame:
    """Return the table ``shortcut_probe``: per class, the predictions for test images without and with the planted tag.

    Args:
        planted: the planted shortcut, from the source's description of the training images; None: no shortcut.

    Returns:
        Columns :data:`COLUMNS`, one row per class in label order; no rows without a planted shortcut. ``accuracy`` and
        ``taken`` (the share predicted as the tagged class) are for the images as they are, ``accuracy_tagged`` and
        ``taken_tagged`` for the same images with the tag. NaN for a class without images.
    """
    if planted is None:
        return pd.DataFrame({name: pd.Series(dtype=object if name == "class_name" else float) for name in COLUMNS})
    tagged = dataclasses.replace(images, images_nhwc=plant(images.images_nhwc, planted), digest=None)
    target = images.class_names.index(planted["class_name"])
    labels = images.labels[subset.indices]
    rows = pd.DataFrame({"label": labels})
    for suffix, shown in (("", images), ("_tagged", tagged)):
        predictions = predict_probabilities(model, shown, subset.indices, params.batch_size, device).argmax(1)
        rows[f"accuracy{suffix}"], rows[f"taken{suffix}"] = predictions == labels, predictions == target
    table = rows.groupby("label").mean().reindex(range(len(images.class_names)))
    table["class_name"] = images.class_names
    table["num_images"] = np.bincount(labels, minlength=len(table))
    return table[list(COLUMNS)].rename_axis(None)
