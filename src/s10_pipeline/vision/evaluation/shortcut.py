"""Whether the model fell for a planted shortcut: test images with and without the tag of one class.

In training, all images of that class carry the tag, and no others (Lapuschkin et al. 2019, arXiv:1902.10178, found
such a "Clever Hans" in photographs: a source tag below pictures of horses). Test images have none, so the test
accuracy alone does not say why the class is missed.
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
    """``shortcut_probe``: what the tag does to test images of each class, each measured without and with it.

    Returns:
        Columns :data:`COLUMNS`, one row per class in label order, none where no shortcut was planted: ``accuracy`` and
        the share ``taken`` for the tagged class, as the images are and ``_tagged``. NaN without images.
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
