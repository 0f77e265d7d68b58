"""Loss and accuracy as sums over images, divided once at the end."""

from typing import NamedTuple

import torch
from torch import Tensor


class MetricSums(NamedTuple):
    """Sums over images, scalars on the device: adding to them never waits for it, reading them does.

    Attributes:
        loss: sum of per-image cross-entropies in nats, without label smoothing; float64, on MPS float32.
        correct: int64, images whose largest logit is their label's.
        num_images: int64.
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
        """Add a batch in place.

        Args:
            loss: mean cross-entropy of the batch.
        """
        self.loss.add_(loss.detach().to(self.loss.dtype) * len(labels_b))
        self.correct.add_((logits_bk.detach().argmax(1) == labels_b).sum())
        self.num_images.add_(len(labels_b))

    def copy(self) -> "MetricSums":
        """The sums so far; later additions leave the copy as it is."""
        return MetricSums(*(tensor.clone() for tensor in self))

    def mean_loss(self) -> float:
        """Cross-entropy per image, in nats."""
        return float(self.loss) / int(self.num_images)

    def accuracy(self) -> float:
        """Fraction in [0, 1]."""
        return int(self.correct) / int(self.num_images)
