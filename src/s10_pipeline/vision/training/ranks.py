"""Communication of a training process with the others; the class in this module is for a process that trains alone."""

import numpy as np
import torch
from torch import Tensor, nn

from ..network.classifier import Classifier
from .metric_sums import MetricSums


class Ranks:
    """Communication of a process that trains alone; the subclass ``ProcessGroup`` is for several processes.

    Attributes:
        rank: number of this process, from 0; rank 0 reports and saves.
        count: number of processes.
    """

    rank: int = 0
    count: int = 1

    def wrap(self, model: nn.Module, device: torch.device) -> nn.Module:
        """Return the model unchanged; the subclass wraps it so that gradients are averaged over all processes."""
        return model

    def sync_batchnorm(self, model: Classifier) -> Classifier:
        """Return the model unchanged; the subclass synchronises BatchNorm across processes where torch can do so."""
        return model

    def broadcast_buffers(self, model: nn.Module) -> None:
        """Copy rank 0's BatchNorm statistics to all ranks, so that all measure the model that is saved."""

    def seed_dropout(self, seed: int, epoch: int) -> None:
        """Seed torch's global generator, which dropout uses, so that a resumed epoch equals an uninterrupted one."""
        # Hash all three numbers into each bit of the seed, because torch uses only its lowest 32 bits on a CPU.
        hashed = np.random.SeedSequence([self.rank, seed, epoch]).generate_state(1, np.uint64)
        torch.manual_seed(int(hashed[0]))

    def all_reduce(self, sums: MetricSums) -> MetricSums:
        """Return the sums of loss, correct predictions and images over all processes."""
        return MetricSums(*(self.add_up(value) for value in sums))

    def add_up(self, values: Tensor) -> Tensor:
        """Return the elementwise sum of ``values`` over all processes."""
        return values


ALONE = Ranks()
