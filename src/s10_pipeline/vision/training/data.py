"""What training reads."""

from dataclasses import dataclass

from ..data.augmented import AugmentedSet
from ..data.image_set import ImageSet


@dataclass(frozen=True)
class TrainingData:
    """Training images in two parts, and test images, which decide nothing."""

    train_images: ImageSet
    test_images: ImageSet
    train_set: AugmentedSet
    val_set: AugmentedSet
    test_set: AugmentedSet
