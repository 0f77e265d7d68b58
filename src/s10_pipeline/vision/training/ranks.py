"""The process of a training among those that share each batch."""

from typing import Protocol

import torch
from torch import nn

from ..network.classifier import Classifier
from .metric_sums import MetricSums


class Ranks(Protocol):
    """One process of a training and its group; :mod:`s10_pipeline.vision.distributed` has one for several processes.

    Attributes:
        rank: number of this process, from 0; the first reports and saves.
        count: processes of the training.
    """

    @property
    def rank(self) -> int: ...

    @property
    def count(self) -> int: ...

    def wrap(self, model: nn.Module, device: torch.device) -> nn.Module:
        """Return the model to train with: its gradients are means over all ranks."""

    def sync_batchnorm(self, model: Classifier) -> Classifier:
        """Return the model with BatchNorm layers that see the batch of all ranks, where torch can do so."""

    def broadcast_buffers(self, model: nn.Module) -> None:
        """Give every rank the first one's running means, so that all measure the model that is saved."""

    def all_reduce(self, sums: MetricSums) -> MetricSums:
        """Return the sums over the images of all ranks."""


class OneProcess:
    """Trains alone."""

    rank = 0
    count = 1

    def wrap(self, model: nn.Module, device: torch.device) -> nn.Module:
        return model

    def sync_batchnorm(self, model: Classifier) -> Classifier:
        return model

    def broadcast_buffers(self, model: nn.Module) -> None:
        pass

    def all_reduce(self, sums: MetricSums) -> MetricSums:
        return sums
