"""Draw a figure of original and augmented images."""

from matplotlib.figure import Figure

from ..figure_text import literal
from .image_set import ImageSet


def plot_augmentation_preview(examples: ImageSet) -> Figure:
    """Draw one row per image: the original in the first column, augmented versions in the others.

    Args:
        examples: image set from :func:`~.examples.draw_examples`.
    """
    columns, names = examples.source["columns"], ", ".join(examples.source["transforms"]) or "no transforms"
    num_rows = len(examples) // len(columns)
    rows = [literal(examples.class_names[label], max_length=16) for label in examples.labels[:: len(columns)]]
    figure = Figure(figsize=(1.25 * len(columns) + 1.2, 1.3 * num_rows + 0.8), dpi=120, layout="constrained")
    axes = figure.subplots(num_rows, len(columns), squeeze=False)
    for ax, image in zip(axes.flat, examples.images_nhwc, strict=True):
        ax.imshow(image, interpolation="nearest" if max(image.shape) <= 64 else "antialiased")
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
    for ax, name in zip(axes[:, 0], rows, strict=True):
        ax.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9)
    for ax, column in zip(axes[0], columns, strict=True):
        ax.set_title(column, fontsize=9)
    figure.suptitle(literal(f"{examples.source['title']}: {names}"), fontsize=11)
    return figure
