"""The public surface for use in Python: load a stored model, and predict images with it.

Example:
    >>> from s10_pipeline.api import load_classifier, predict
    >>> model = load_classifier("model.safetensors")  # doctest: +SKIP
    >>> names, probabilities = predict(model, ["image.jpg"])  # doctest: +SKIP

Importing this module loads neither torch nor Pillow; the functions do.
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
    """The answer for N images of a model with K classes.

    Attributes:
        names: the likeliest class of each image.
        probabilities_nk: float64 (N, K), columns in the order of ``model.class_names``.
    """

    names: list[str]
    probabilities_nk: NDArray[np.float64]


def load_classifier(path: str | Path) -> Classifier:
    """Load a model file; the model is on the CPU and in evaluation mode.

    Raises:
        UserError: there is no such file, it is no model of this project, or it is damaged.
    """
    from .vision.network import classifier

    return classifier.load_classifier(Path(path).expanduser())


def predict(model: Classifier, images: Iterable[ImageLike], *, device: str = "auto") -> Predictions:
    """Classify images, brought to the model's size by its own rule: the same answers as ``--pipeline=predict``.

    Args:
        model: put into evaluation mode; on the CPU afterwards.
        images: each the path of a file, a Pillow image, or a uint8 array (H, W, 3) in RGB; or one array (N, H, W, 3).
        device: where to compute; ``auto`` takes cuda, mps or cpu, the first that is there.

    Raises:
        UserError: an image cannot be read, or is an array of another kind; the message names it.
    """
    from .vision.device import choose_device
    from .vision.predict.predictor import classify_images

    probabilities_nk = classify_images(model, list(images), choose_device(device))
    return Predictions([model.class_names[k] for k in probabilities_nk.argmax(1)], probabilities_nk)
