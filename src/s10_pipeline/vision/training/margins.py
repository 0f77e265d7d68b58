"""How far each image's label is ahead of all other classes, as a mean over the epochs of training.

The area under the margin of Pleiss et al. 2020 (arXiv:2001.10528): an image whose label is wrong is pulled towards its
label by itself alone, and towards its true class by all images that look like it.
"""

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from .data import TrainingData


def margins_of(logits_bk: Tensor, labels_b: Tensor) -> Tensor:
    """The label's logit minus the largest of the other classes, float32 (B,); negative where another class leads."""
    logits_bk, labels_b1 = logits_bk.detach().float(), labels_b[:, None]
    others_bk = logits_bk.scatter(1, labels_b1, -torch.inf)
    return logits_bk.gather(1, labels_b1)[:, 0] - others_bk.amax(1)


def margin_table(sums: dict[str, Tensor], epochs: int, data: TrainingData) -> pd.DataFrame:
    """``train_margins``: one row per image of the training, validation and test set.

    Args:
        sums: over the epochs, of all ``train_images`` and all ``test_images``, by "train" and "test".

    Returns:
        ``split`` ("train", "val", "test"), ``index`` (into ``train_images``, for "test" into ``test_images``) and
        ``margin``, the mean over the epochs: training images as they were augmented, the others whole.
    """
    parts = []
    for subset in (data.train_set, data.val_set, data.test_set):
        mean = sums["test" if subset.name == "test" else "train"].cpu().numpy() / epochs
        parts.append(pd.DataFrame({"split": subset.name, "index": subset.indices, "margin": mean[subset.indices]}))
    return pd.concat(parts, ignore_index=True).astype({"margin": np.float32})
