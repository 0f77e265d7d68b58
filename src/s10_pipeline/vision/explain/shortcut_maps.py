"""Compute class activation maps of test images with a planted tag: does the model use the tag as evidence?"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..data.image_set import ImageSet
from ..data.loader import cap_batch_size, plain_batches
from ..data.planted import plant
from ..network.classifier import Classifier
from .cams import is_blank

# Number of test images for the mean share of a map's heat that lies on the planted tag. The mean over 100 images is
# accurate to one or two percentage points.
NUM_IMAGES = 100


def explain_shortcut(
    compute: Callable[[NDArray[np.uint8], NDArray[np.integer]], NDArray[np.float32]],
    model: Classifier,
    images: ImageSet,
    planted: dict[str, Any] | None,
    device: torch.device | str,
) -> tuple[dict[str, Any] | None, list[dict[str, Any]], NDArray[np.float32]]:
    """Compute class activation maps for the class with the planted tag, on test images of other classes. Each image is
    explained without and with the tag.

    Args:
        compute: :func:`~.gradcam.compute_cams` with all arguments set except images and targets.
        planted: the planted shortcut (:func:`~..data.planted.planted_shortcut`); None: no shortcut.
        device: device that classifies the tagged images; the model is on the CPU afterwards.

    Returns:
        shortcut: ``class_name``, ``num_images``; ``heat_plain`` and ``heat_tagged``, the mean share of a map's sum that
            is inside the tag's box, without and with the tag; ``area``, the box's share of the image, which a uniform
            map would have. None without a planted shortcut.
        shortcut_examples: one tagged image per class: index, truth, prediction, confidence.
        shortcut_nhw: float32 (M, H, W), maps of the examples for the tagged class.
    """
    height, width = images.image_size
    if planted is None:
        return None, [], np.empty((0, height, width), np.float32)
    target = images.class_names.index(planted["class_name"])
    others = np.flatnonzero(images.labels != target)[:NUM_IMAGES]
    plain_nhwc = np.array(images.images_nhwc[others])
    tagged_nhwc = plant(plain_nhwc, planted)
    targets = np.full(len(others), target)
    cams = {"plain": compute(plain_nhwc, targets), "tagged": compute(tagged_nhwc, targets)}
    batches = plain_batches(tagged_nhwc, targets, np.arange(len(others)), cap_batch_size(NUM_IMAGES, images.image_size))
    model = model.to(device).eval()
    p_nk = np.concatenate([model.probabilities(images_bchw).numpy() for images_bchw, _ in batches])
    model.cpu()
    left, top, right, bottom = planted["box_xyxy"]
    shortcut = {
        "class_name": planted["class_name"],
        "num_images": len(others),
        "area": (right - left) * (bottom - top) / (height * width),
        **{f"heat_{name}": heat_inside(cams_nhw, planted["box_xyxy"]) for name, cams_nhw in cams.items()},
    }
    first = np.sort(np.unique(images.labels[others], return_index=True)[1])
    examples = [
        {
            "index": int(others[i]),
            "truth": images.class_names[images.labels[others[i]]],
            "prediction": images.class_names[int(p_nk[i].argmax())],
            "confidence": float(p_nk[i].max()),
        }
        for i in first
    ]
    return shortcut, examples, cams["tagged"][first]


def heat_inside(cams_nhw: NDArray[np.float32], box_xyxy: list[int]) -> float | None:
    """Return the mean share of a map's sum inside the box, over maps that are not blank; None if all are blank."""
    left, top, right, bottom = box_xyxy
    kept = cams_nhw[~is_blank(cams_nhw)]
    if not len(kept):
        return None
    return float((kept[:, top:bottom, left:right].sum((1, 2)) / kept.sum((1, 2))).mean())
