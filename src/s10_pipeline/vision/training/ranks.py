"""The process of a training among those that share each batch."""

import torch
from torch import Tensor, nn

from ..network.classifier import Classifier
from .metric_sums import MetricSums


class Ranks:
    """A process that trains alone; :mod:`s10_pipeline.vision.distributed` derives one of several from it.

    Attributes:
        rank: number of this process, from 0; the first reports and saves.
        count: processes of the training.
    """

    rank: int = 0
    count: int = 1

    def wrap(self, model: nn.Module, device: torch.device) -> nn.Module:
        """Return the model to train with: its gradients are means over all ranks."""
        return model

    def sync_batchnorm(self, model: Classifier) -> Classifier:
        """Return the model with BatchNorm layers that see the batch of all ranks, where torch can do so."""
        return model

    def broadcast_buffers(self, model: nn.Module) -> None:
        """Give every rank the first one's running means, so that all measure the model that is saved."""

    def all_reduce(self, sums: MetricSums) -> MetricSums:
        """Return the sums over the images of all ranks."""
        return MetricSums(*(self.add_up(value) for value in sums))

    def add_up(self, values: Tensor) -> Tensor:
        """Return the sum of each value over all ranks."""
        return values


ALONE = Ranks()
