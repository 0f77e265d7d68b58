"""Nodes of the ``data`` stage, which reads images and splits off validation images."""

import logging

from ...vision.data.image_set import ImageSet
from ...vision.data.params import AugmentParams, IngestParams
from ...vision.data.split import Split, build_sets
from ...vision.types import DataFrame, Figure

log = logging.getLogger(__name__)


def ingest_cifar(ingest: IngestParams) -> tuple[ImageSet, ImageSet, DataFrame]:
    """Read training and test images from the source that ``ingest`` names.

    Returns:
        train_images, test_images, skipped_images.
    """
    import pandas as pd

    from ...vision.data.image_set import warn_of_unequal_classes
    from ...vision.data.sources import read_source

    train_images, test_images = read_source(ingest)
    title = train_images.source.get("title", ingest.source)
    log.info("%s: %d images to train, %d to test", title, len(train_images), len(test_images))
    warn_of_unequal_classes(train_images)
    sources = (train_images.source, test_images.source)
    skipped = [(source["split"], *item) for source in sources for item in source.get("skipped", {}).items()]
    return train_images, test_images, pd.DataFrame(skipped, columns=["split", "path", "reason"])


def build_augmented_datasets(
    train_images: ImageSet, test_images: ImageSet, augment: AugmentParams
) -> tuple[Split, Split, Split, Figure]:
    """Split off validation images, and draw a preview of the augmented training images.

    Returns:
        train_set, val_set, test_set, augmentation_preview.
    """
    from ...vision.data.examples import draw_examples
    from ...vision.data.preview import plot_augmentation_preview

    train_set, val_set, test_set = build_sets(train_images, test_images, augment)
    examples = draw_examples(train_images, train_set, augment.num_preview_images, augment.seed)
    return train_set, val_set, test_set, plot_augmentation_preview(examples)
