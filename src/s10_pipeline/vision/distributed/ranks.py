"""Average gradients over training processes, with DistributedDataParallel (Li et al. 2020, arXiv:2006.15704)."""

from dataclasses import dataclass

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from ..network.classifier import Classifier
from ..training.ranks import Ranks


@dataclass(frozen=True)
class ProcessGroup(Ranks):
    """Communication with the other training processes, through torch's default process group (must be initialised)."""

    rank: int
    count: int

    def wrap(self, model: nn.Module, device: torch.device) -> nn.Module:
        return DistributedDataParallel(model, device_ids=[device.index] if device.type == "cuda" else None)

    def sync_batchnorm(self, model: Classifier) -> Classifier:
        if model.mean.device.type != "cuda":  # torch can synchronise BatchNorm only on CUDA, so leave the model as is
            return model
        synchronised: Classifier = nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
        return synchronised

    def broadcast_buffers(self, model: nn.Module) -> None:
        for buffer in model.buffers():
            distributed.broadcast(buffer, src=0)

    def add_up(self, values: Tensor) -> Tensor:
        values = values.clone()
        distributed.all_reduce(values)
        return values
