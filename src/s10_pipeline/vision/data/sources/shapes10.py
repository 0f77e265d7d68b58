"""The source ``shapes10``: pictures of ten shapes that the project draws itself, a substitute for CIFAR-10 offline.

The class of a picture is the shape of its object. Colour, position, rotation, size, background and clutter are
independent of the class. Two pairs are easily confused, ``pentagon`` with ``hexagon`` and ``star5`` with ``star6``, but
labels are never wrong: each shape is drawn exactly, lies entirely in the picture, and at most a sixth of it is hidden.
"""

from typing import Any, Literal

import numpy as np
from numpy.random import Philox
from numpy.typing import NDArray

from ....identity.digests import sha256_of
from ..image_set import ImageSet, allocate_pixels
from ..params import IngestParams
from .drawing import WORDS_PER_IMAGE, paint_scenes
from .outlines import SHAPE_NAMES

__all__ = ["SHAPE_NAMES", "TAG_RGB", "draw", "read", "tag_box"]

Split = Literal["train", "test"]

TITLE = "shapes10: drawn data, not CIFAR-10"
TAG_RGB = (255, 222, 0)
# Split -> number of the random stream that draws its pictures. A stream is a Philox generator (Salmon et al. 2011) with
# the key (seed, number).
_SCENE_STREAM = {"train": 0, "test": 1}
# Split -> number of the random stream that chooses its labels, so that labels and drawing use different random numbers.
_LABEL_STREAM = {"train": 2, "test": 3}
# Number of pixels drawn at a time. 2**15 is the fastest of 2**13 ... 2**17, because the arrays then fit into the CPU's
# cache.
_PIXELS_AT_ONCE = 2**15


def tag_box(image_size: int) -> tuple[int, int, int, int]:
    """Return the box of a shortcut's tag in pixels: left, top, right, bottom, the last two exclusive.

    It is (1, 1, 6, 6) at an image size of 32.
    """
    start, side = image_size // 32, max(1, 5 * image_size // 32)
    return start, start, start + side, start + side


def draw(
    num_images: int, image_size: int, seed: int, *, split: Split, shortcut: str | None = None
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Draw labelled pictures of ten shapes, the same bytes on every system and with every NumPy release.

    Picture i depends only on ``seed``, ``split``, i and ``image_size``, not on ``num_images``. Another ``image_size``
    gives the same scene at another resolution. Each block of ten pictures (0-9, 10-19, ...) has one of each class.

    Args:
        num_images: number of pictures N.
        image_size: height and width S in pixels.
        seed: 0 to 2**64 - 1.
        split: "train" or "test"; the two use different random numbers.
        shortcut: class whose pictures get a corner tag if ``split`` is "train"; no other pixel changes.

    Returns:
        images_nhwc: uint8 (N, S, S, 3), RGB; above 256 MiB they are in a temporary file.
        labels: int64 (N,), indices into :data:`SHAPE_NAMES`.
    """
    labels = _labels(num_images, seed, split)
    images_nhwc = allocate_pixels(num_images, image_size, image_size)
    # use raw random integers, because NumPy may change the distributions of Generator in any release (NEP 19)
    words = Philox(key=np.array([seed, _SCENE_STREAM[split]], np.uint64))
    step = max(1, _PIXELS_AT_ONCE // image_size**2)
    for start in range(0, num_images, step):
        chunk = labels[start : start + step]
        rows = words.random_raw((len(chunk), WORDS_PER_IMAGE))
        images_nhwc[start : start + step], _ = paint_scenes(rows, chunk, image_size)
    if shortcut is not None and split == "train":
        left, top, right, bottom = tag_box(image_size)
        for i in np.flatnonzero(labels == SHAPE_NAMES.index(shortcut)):
            images_nhwc[i, top:bottom, left:right] = TAG_RGB
    return images_nhwc, labels


def read(params: IngestParams) -> tuple[ImageSet, ImageSet]:
    """Draw training and test images of the source ``shapes10``; ``params`` gives their size, numbers and seed."""
    sizes = params.shapes10
    return _image_set(params, "train", sizes.num_train_images), _image_set(params, "test", sizes.num_test_images)


def _image_set(params: IngestParams, split: Split, num_images: int) -> ImageSet:
    images_nhwc, labels = draw(num_images, params.image_size, params.seed, split=split, shortcut=params.shortcut)
    source: dict[str, Any] = {
        "name": "shapes10",
        "split": split,
        "title": TITLE,
        "checksum": f"sha256:{sha256_of(images_nhwc, labels.astype('<i8'))}",
        "drawn": True,
        "parameters": {
            "seed": params.seed,
            "image_size": params.image_size,
            "num_images": num_images,
            "shortcut": params.shortcut if split == "train" else None,
        },
    }
    if params.shortcut is not None and split == "train":
        # record class, position and colour of the tag, so that the shortcut probe can test whether the model learned it
        box = list(tag_box(params.image_size))
        source["planted"] = {"class_name": params.shortcut, "box_xyxy": box, "rgb": list(TAG_RGB)}
    return ImageSet(images_nhwc, labels, SHAPE_NAMES, source=source)


def _labels(num_images: int, seed: int, split: Split) -> NDArray[np.int64]:
    """Return the classes to draw, as labels (N,); each block of ten labels has every class once, in random order."""
    num_classes = len(SHAPE_NAMES)
    num_blocks = -(-num_images // num_classes)
    words = Philox(key=np.array([seed, _LABEL_STREAM[split]], np.uint64)).random_raw((num_blocks, num_classes))
    order = np.argsort(words, axis=1, kind="stable")
    return order.ravel()[:num_images].astype(np.int64)
