"""Images as augmentation makes them, kept as an image set: whoever draws them needs no transforms."""

from dataclasses import replace
from typing import Any

import numpy as np

from .augmenter import Augmenter
from .image_set import ImageSet
from .split import Split
from .transforms import build_transforms

NUM_DRAWS = 7


def draw_examples(images: ImageSet, train_set: Split, num_rows: int, seed: int, epochs: int | None = None) -> ImageSet:
    """Augment a few images several times.

    Args:
        images: the training images.
        train_set: which of them, and the transforms.
        num_rows: images augmented, taken at even distances through the classes.
        seed: of the draws.
        epochs: of a training with this seed: the draws are the first of its epochs, as training saw them (at most
            seven; where it scales images down, before that). None: examples, of no training.

    Returns:
        Rows of a table one after the other, each an original and its draws. ``source`` holds ``title``, ``columns``
        (their names) and ``transforms`` (their names).
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
    """Augment a few images as the training did that left ``provenance``: parameters may be others by now."""
    augment, train = provenance.get("augment", {}), provenance.get("train", {})
    mean = augment.get("pixel_mean", train_set.mean)
    as_trained = replace(train_set, transforms=augment.get("train", train_set.transforms), mean=tuple(mean))
    return draw_examples(images, as_trained, num_rows, int(train.get("seed", 0)), int(train.get("epochs", 1)))
