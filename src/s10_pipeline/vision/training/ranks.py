"""The processes of one training: one, or one a GPU (DistributedDataParallel, Li et al. 2020, arXiv:2006.15704)."""

from dataclasses import dataclass

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from ..network.classifier import Classifier
from .metric_sums import MetricSums


@dataclass(frozen=True)
class Ranks:
    """Which process this is, of how many. Alone, every method does nothing."""

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this process reports and saves."""
        return self.rank == 0

    def wrap(self, model: nn.Module, device: torch.device) -> nn.Module:
        """The model to train with: its gradients are means over all ranks."""
        if self.count == 1:
            return model
        return DistributedDataParallel(model, device_ids=[device.index] if device.type == "cuda" else None)

    def sync_batchnorm(self, model: Classifier) -> Classifier:
        """Let BatchNorm see the batch of all ranks; torch can do so on CUDA alone."""
        if self.count == 1 or model.mean.device.type != "cuda":
            return model
        synchronised: Classifier = nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
        return synchronised

    def broadcast_buffers(self, model: nn.Module) -> None:
        """Give every rank the first one's running means, so that all measure the model that is saved."""
        if self.count > 1:
            for buffer in model.buffers():
                distributed.broadcast(buffer, src=0)

    def all_reduce(self, sums: MetricSums) -> MetricSums:
        """Sums over the images of all ranks."""
        if self.count == 1:
            return sums
        values = torch.stack([value.to(sums.loss.dtype) for value in sums])
        distributed.all_reduce(values)
        loss, correct, count = values
        return MetricSums(loss, correct.round().to(torch.int64), count.round().to(torch.int64))
