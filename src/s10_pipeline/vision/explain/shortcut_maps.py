"""Where the model looks on test images with a planted tag."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..data.image_set import ImageSet
from ..data.loader import fit_batch, plain_batches
from ..data.planted import plant
from ..network.classifier import Classifier
from .cams import is_blank
from .gradcam import compute_cams
from .params import ExplainParams

# enough for a mean that is steady to a percent or two
NUM_IMAGES = 100


def explain_shortcut(
    model: Classifier, images: ImageSet, planted: dict[str, Any], params: ExplainParams, device: torch.device | str
) -> tuple[dict[str, Any], NDArray[np.float32]]:
    """Maps for the tagged class on test images of the other classes, without and with the tag.

    Returns:
        facts: ``class_name``, ``num_images``; means over them of the share of the heat that lies in the tag's box,
            ``heat_plain`` and ``heat_tagged``, and ``area``, the box's share of the image: what a map that knows
            nothing would have there; ``examples``, one tagged image per class: index, truth, prediction, confidence.
        example_cams_nhw: float32 (N, H, W): the examples' maps for the tagged class.
    """
    target = images.class_names.index(planted["class_name"])
    others = np.flatnonzero(images.labels != target)[:NUM_IMAGES]
    plain_nhwc = np.array(images.images_nhwc[others])
    tagged_nhwc = plant(plain_nhwc, planted)
    targets = np.full(len(others), target)
    cams = {
        name: compute_cams(model, pixels, targets, method=params.method, layer=params.layer, device=device)
        for name, pixels in (("plain", plain_nhwc), ("tagged", tagged_nhwc))
    }
    batches = plain_batches(tagged_nhwc, targets, np.arange(len(others)), fit_batch(NUM_IMAGES, images.image_size))
    model.eval()
    p_nk = np.concatenate([model.probabilities(images_bchw).numpy() for images_bchw, _ in batches])
    left, top, right, bottom = planted["box_xyxy"]
    height, width = images.image_size
    first = np.sort(np.unique(images.labels[others], return_index=True)[1])
    facts = {
        "class_name": planted["class_name"],
        "num_images": len(others),
        "area": (right - left) * (bottom - top) / (height * width),
        **{f"heat_{name}": heat_inside(cams_nhw, planted["box_xyxy"]) for name, cams_nhw in cams.items()},
        "examples": [
            {
                "index": int(others[i]),
                "truth": images.class_names[images.labels[others[i]]],
                "prediction": images.class_names[int(p_nk[i].argmax())],
                "confidence": float(p_nk[i].max()),
            }
            for i in first
        ],
    }
    return facts, cams["tagged"][first]


def heat_inside(cams_nhw: NDArray[np.float32], box_xyxy: list[int]) -> float | None:
    """Mean share of a map's heat inside the box, of the maps that are not blank; None where all are."""
    left, top, right, bottom = box_xyxy
    kept = cams_nhw[~is_blank(cams_nhw)]
    if not len(kept):
        return None
    return float((kept[:, top:bottom, left:right].sum((1, 2)) / kept.sum((1, 2))).mean())
