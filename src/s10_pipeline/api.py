"""The public Python API: load a stored model, and classify images with it.

Example:
    >>> from s10_pipeline.api import load_classifier, predict
    >>> model = load_classifier("model.safetensors")  # doctest: +SKIP
    >>> names, probabilities = predict(model, ["image.jpg"])  # doctest: +SKIP

Importing this module does not import torch or Pillow; calling the functions does.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .vision.network.classifier import Classifier
    from .vision.predict.images import ImageLike

__all__ = ["Predictions", "load_classifier", "predict"]


class Predictions(NamedTuple):
    """Predicted class names and class probabilities of N images, for a model with K classes.

    Attributes:
        names: the most probable class of each image.
        probabilities_nk: float64 (N, K), columns in the order of ``model.class_names``.
    """

    names: list[str]
    probabilities_nk: NDArray[np.float64]


def load_classifier(path: str | Path) -> Classifier:
    """Load a model file; the model is on the CPU and in evaluation mode.

    Raises:
        UserError: the file is missing, damaged, or not a model of this project.
    """
    from .vision.network import classifier

    return classifier.load_classifier(Path(path).expanduser())


def predict(model: Classifier, images: Iterable[ImageLike], *, device: str = "auto") -> Predictions:
    """Classify images; the results equal those of ``kedro run --pipeline=predict``.

    Images are resized by the rule that is stored in the model.

    Args:
        model: put into evaluation mode; on the CPU afterwards.
        images: file paths, Pillow images or uint8 arrays (H, W, 3) in RGB; or one array (N, H, W, 3).
        device: device that computes; ``auto`` uses the first available of cuda, mps and cpu.

    Raises:
        UserError: an image cannot be read, or an array has another type or shape; the message names it.
    """
    from .vision.device import choose_device
    from .vision.predict.predictor import classify_images

    probabilities_nk = classify_images(model, list(images), choose_device(device))
    return Predictions([model.class_names[k] for k in probabilities_nk.argmax(1)], probabilities_nk)
