"""Node of the ``lr_search`` stage, which chooses the learning rate."""

from typing import Any

from ...vision.data.image_set import ImageSet
from ...vision.data.split import Split
from ...vision.lr_search.params import LrSearchParams
from ...vision.training.params import TrainParams
from ...vision.types import DataFrame, Figure


def lr_range_test(
    train_images: ImageSet, train_set: Split, lr_search: LrSearchParams, train: TrainParams
) -> tuple[DataFrame, dict[str, Any], Figure]:
    """Choose the learning rate of SGD by range tests: from a rule that the tests check, or at their lowest loss.

    Returns:
        lr_curve, best_lr, lr_curve_plot.
    """
    from ...vision.lr_search.plot import plot_lr_curve
    from ...vision.lr_search.range_test import find_learning_rate

    lr_curve, best_lr = find_learning_rate(train_images, train_set, lr_search, train)
    title = f"Learning-rate range test, {train_images.source.get('title', '')}"
    return lr_curve, best_lr, plot_lr_curve(lr_curve, best_lr, title)
