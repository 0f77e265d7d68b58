"""A figure of what augmentation does to images."""

import numpy as np
from matplotlib.figure import Figure

from ..figure_text import literal
from .augmented import AugmentedSet
from .augmenter import Augmenter
from .image_set import ImageSet
from .transforms import build_transforms

NUM_DRAWS = 7


def plot_augmentation_preview(
    images: ImageSet, train_set: AugmentedSet, num_rows: int, seed: int, epochs: int | None = None
) -> Figure:
    """Originals in the first column, and beside it what augmentation makes of them.

    Args:
        images: the training images.
        train_set: which of them, and the transforms.
        num_rows: images shown, taken at even distances through the classes.
        seed: of the draws.
        epochs: of a training with this seed: the columns are the first of them, as training saw them (at most seven;
            where it scales images down, before that). None: examples, of no training.
    """
    num_draws = min(NUM_DRAWS, epochs or NUM_DRAWS)
    by_class = train_set.indices[np.argsort(images.labels[train_set.indices], kind="stable")]
    chosen = by_class[np.linspace(0, len(by_class) - 1, min(num_rows, len(by_class))).astype(int)]
    augment = Augmenter(build_transforms(train_set.transforms, train_set.mean), seed)
    figure = Figure(figsize=(1.25 * (num_draws + 1) + 1.2, 1.3 * len(chosen) + 0.8), dpi=120, layout="constrained")
    axes = figure.subplots(len(chosen), num_draws + 1, squeeze=False)
    for row, index in zip(axes, chosen, strict=True):
        original = np.array(images.images_nhwc[index])
        versions = [original, *(augment(original, draw, int(index)) for draw in range(1, num_draws + 1))]
        for ax, image in zip(row, versions, strict=True):
            ax.imshow(image, interpolation="nearest" if max(image.shape) <= 64 else "antialiased")
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
        name = literal(images.class_names[images.labels[index]], max_length=16)
        row[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9)
    axes[0, 0].set_title("original", fontsize=9)
    for draw, ax in enumerate(axes[0, 1:], start=1):
        ax.set_title(f"epoch {draw}" if epochs else f"example {draw}", fontsize=9)
    names = ", ".join(name for item in train_set.transforms for name in item) or "no transforms"
    figure.suptitle(literal(f"{images.source.get('title', 'Training images')}: {names}"), fontsize=11)
    return figure
