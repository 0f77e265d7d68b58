"""Accumulate loss and accuracy as sums over images, which are divided by their number only at the end."""

from typing import NamedTuple

import torch
from torch import Tensor


class MetricSums(NamedTuple):
    """Sums of loss, correct predictions and images, as scalars on the device. Only reading one waits for the device.

    Attributes:
        loss: sum of per-image cross-entropies in nats, without label smoothing; float64, on MPS float32.
        correct: number of images whose largest logit is the label's, int64.
        num_images: number of images, int64.
    """

    loss: Tensor
    correct: Tensor
    num_images: Tensor

    @classmethod
    def zero(cls, device: torch.device) -> "MetricSums":
        # MPS has no float64
        dtype = torch.float32 if device.type == "mps" else torch.float64
        correct, num_images = (torch.zeros((), dtype=torch.int64, device=device) for _ in range(2))
        return cls(torch.zeros((), dtype=dtype, device=device), correct, num_images)

    def add(self, loss: Tensor, logits_bk: Tensor, labels_b: Tensor) -> None:
        """Add loss, number of correct predictions and number of images of a batch, in place.

        Args:
            loss: mean cross-entropy of the batch.
        """
        self.loss.add_(loss.detach().to(self.loss.dtype) * len(labels_b))
        self.correct.add_((logits_bk.detach().argmax(1) == labels_b).sum())
        self.num_images.add_(len(labels_b))

    def copy(self) -> "MetricSums":
        """Return a copy of the sums, which later calls of :meth:`add` do not change."""
        return MetricSums(*(tensor.clone() for tensor in self))

    def mean_loss(self) -> float:
        """Return the mean cross-entropy per image, in nats."""
        return float(self.loss) / int(self.num_images)

    def accuracy(self) -> float:
        """Return the share of correct images, in [0, 1]."""
        return int(self.correct) / int(self.num_images)
