"""What training reads."""

from dataclasses import dataclass

from ..data.image_set import ImageSet
from ..data.split import Split


@dataclass(frozen=True)
class TrainingData:
    """Training images in two parts, and test images, which decide nothing."""

    train_images: ImageSet
    test_images: ImageSet
    train_set: Split
    val_set: Split
    test_set: Split
