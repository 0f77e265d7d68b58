"""Make example images with the augmentation already applied, for figures in the preview and the report."""

from dataclasses import replace
from typing import Any

import numpy as np

from .augmenter import Augmenter
from .image_set import ImageSet
from .split import Split
from .transforms import build_transforms

NUM_DRAWS = 7


def draw_examples(images: ImageSet, train_set: Split, num_rows: int, seed: int, epochs: int | None = None) -> ImageSet:
    """Augment a few training images several times each, for a figure of original and augmented images.

    Args:
        images: the training images.
        train_set: the indices to choose from, and the transforms.
        num_rows: number of images to augment, evenly spaced in the order of classes.
        seed: seed of the augmentation.
        epochs: number of epochs of a training with this seed; the results are then the images of its first (at most
            seven) epochs exactly as training saw them, before any progressive resizing. None: seven examples.

    Returns:
        Images in the order of a table's rows: each original is followed by its augmented versions. ``source`` holds
        ``title``, ``columns`` (names of the table's columns) and ``transforms`` (names of the transforms).
    """
    draws = range(1, min(NUM_DRAWS, epochs or NUM_DRAWS) + 1)
    by_class = train_set.indices[np.argsort(images.labels[train_set.indices], kind="stable")]
    chosen = by_class[np.linspace(0, len(by_class) - 1, min(num_rows, len(by_class))).astype(int)]
    augment = Augmenter(build_transforms(train_set.transforms, train_set.mean), seed)
    shown = []
    for index in chosen:
        original = np.array(images.images_nhwc[index])
        shown += [original, *(augment(original, draw, int(index)) for draw in draws)]
    columns = ["original", *(f"{'epoch' if epochs else 'example'} {draw}" for draw in draws)]
    return ImageSet(
        images_nhwc=np.stack(shown),
        labels=np.repeat(images.labels[chosen], len(columns)),
        class_names=images.class_names,
        source={
            "title": images.source.get("title", "Training images"),
            "columns": columns,
            "transforms": [name for item in train_set.transforms for name in item],
        },
    )


def draw_training_examples(images: ImageSet, train_set: Split, provenance: dict[str, Any], num_rows: int) -> ImageSet:
    """Augment a few images exactly as a past training did in its first epochs, for the report.

    Transforms, seed and number of epochs are read from ``provenance``, the description of that training, because the
    current parameters may differ from it.
    """
    augment, train = provenance.get("augment", {}), provenance.get("train", {})
    mean = augment.get("pixel_mean", train_set.mean)
    as_trained = replace(train_set, transforms=augment.get("train", train_set.transforms), mean=tuple(mean))
    return draw_examples(images, as_trained, num_rows, int(train.get("seed", 0)), int(train.get("epochs", 1)))
