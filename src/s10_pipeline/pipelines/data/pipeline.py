"""Pipeline ``data``: read images, split them into training, validation and test sets."""

from kedro.pipeline import Pipeline, node

from .nodes import build_augmented_datasets, ingest_cifar


def create_pipeline() -> Pipeline:
    return Pipeline(
        [
            node(ingest_cifar, "params:ingest", ["train_images", "test_images", "skipped_images"], name="ingest_cifar"),
            node(
                build_augmented_datasets,
                ["train_images", "test_images", "params:augment"],
                ["train_set", "val_set", "test_set", "augmentation_preview"],
                name="build_augmented_datasets",
            ),
        ]
    )
