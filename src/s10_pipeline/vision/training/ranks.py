"""A training process and its communication with the others; in this module there are no others."""

import torch
from torch import Tensor, nn

from ..network.classifier import Classifier
from .metric_sums import MetricSums


class Ranks:
    """A process that trains alone; :mod:`s10_pipeline.vision.distributed` has the subclass for several processes.

    Attributes:
        rank: number of this process, from 0; rank 0 reports and saves.
        count: number of processes.
    """

    rank: int = 0
    count: int = 1

    def wrap(self, model: nn.Module, device: torch.device) -> nn.Module:
        """Return the model wrapped so that gradients are averaged over all ranks; here, the model itself."""
        return model

    def sync_batchnorm(self, model: Classifier) -> Classifier:
        """Return the model with BatchNorm synchronised across ranks where torch supports it; here, unchanged."""
        return model

    def broadcast_buffers(self, model: nn.Module) -> None:
        """Copy rank 0's BatchNorm statistics to all ranks, so that all measure the model that is saved."""

    def all_reduce(self, sums: MetricSums) -> MetricSums:
        """Return the sums over the images of all ranks."""
        return MetricSums(*(self.add_up(value) for value in sums))

    def add_up(self, values: Tensor) -> Tensor:
        """Return the sum of each value over all ranks."""
        return values


ALONE = Ranks()
