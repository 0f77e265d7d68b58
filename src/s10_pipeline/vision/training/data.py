"""The images and splits that training reads."""

from dataclasses import dataclass

from ..data.image_set import ImageSet
from ..data.split import Split


@dataclass(frozen=True)
class TrainingData:
    """Image sets and splits of a training.

    ``train_set`` and ``val_set`` are disjoint subsets of ``train_images``. ``test_set`` is measured for the curves only
    and decides nothing.
    """

    train_images: ImageSet
    test_images: ImageSet
    train_set: Split
    val_set: Split
    test_set: Split
