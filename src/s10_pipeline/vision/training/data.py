"""Group the image sets and the splits (training, validation, test) that training reads."""

from dataclasses import dataclass

from ..data.image_set import ImageSet
from ..data.split import Split


@dataclass(frozen=True)
class TrainingData:
    """Images of a training, and the splits that say which of them are for training, validation and test.

    ``train_set`` and ``val_set`` are disjoint subsets of ``train_images``. ``test_set`` is measured for the curves only
    and decides nothing.
    """

    train_images: ImageSet
    test_images: ImageSet
    train_set: Split
    val_set: Split
    test_set: Split
