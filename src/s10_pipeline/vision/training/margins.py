"""Compute margins, the label's logit minus the largest other logit, and average them over epochs for each image.

This is the "area under the margin" of Pleiss et al. 2020 (arXiv:2001.10528). A low margin hints at a wrong label: only
the image itself teaches the network its wrong label, while all similar images teach it the true class.
"""

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from .data import TrainingData


def margins_of(logits_bk: Tensor, labels_b: Tensor) -> Tensor:
    """Return the label's logit minus the largest other logit, float32 (B,); negative if the prediction is wrong."""
    logits_bk, labels_b1 = logits_bk.detach().float(), labels_b[:, None]
    others_bk = logits_bk.scatter(1, labels_b1, -torch.inf)
    return logits_bk.gather(1, labels_b1)[:, 0] - others_bk.amax(1)


def margin_table(sums: dict[str, Tensor], epochs: int, data: TrainingData) -> pd.DataFrame:
    """Return the table ``train_margins``: per image, the label's logit minus the largest other, averaged over epochs.

    Args:
        sums: margins summed over the epochs, one tensor each for all ``train_images`` ("train") and all
            ``test_images`` ("test").
        epochs: number of epochs that were summed.

    Returns:
        ``split`` ("train", "val", "test"), ``index`` (into ``train_images``; for "test" into ``test_images``) and
        ``margin``, the mean over the epochs. Training images are measured as augmented, the others unchanged.
    """
    parts = []
    for subset in (data.train_set, data.val_set, data.test_set):
        mean = sums["test" if subset.name == "test" else "train"].cpu().numpy() / epochs
        parts.append(pd.DataFrame({"split": subset.name, "index": subset.indices, "margin": mean[subset.indices]}))
    return pd.concat(parts, ignore_index=True).astype({"margin": np.float32})
