"""Checks of ``train`` against the device and the data, before anything long starts."""

import torch

from ..data.split import Split
from ..errors import UserError
from .params import StepParams, TrainParams


def check_batch_size(train_set: Split, params: StepParams) -> None:
    """Raises UserError where a batch would be larger than the training set."""
    if params.batch_size > len(train_set):
        raise UserError(
            f"train.batch_size={params.batch_size}: only {len(train_set)} training images are left after the "
            "validation split; take a smaller batch"
        )


def num_batches(train_set: Split, params: StepParams) -> int:
    """Return about how many batches a training has."""
    return params.epochs * max(1, len(train_set) // params.batch_size)


def check_device(params: TrainParams, device: torch.device) -> None:
    """Raises UserError where the number of processes or a CUDA graph does not fit the device or the batch size."""
    num_processes, num_nodes = params.distributed.num_processes, params.distributed.num_nodes
    name = f"train.distributed.num_processes={num_processes}" + f" on each of {num_nodes} hosts" * (num_nodes > 1)
    if params.cuda_graph == "on" and device.type != "cuda":
        raise UserError(f"train.cuda_graph=on: needs a CUDA GPU, this run computes on {device.type}; take auto")
    if params.cuda_graph == "on" and num_processes * num_nodes > 1:
        raise UserError(f"train.cuda_graph=on: not with {name}, whose processes train eagerly; take auto")
    if num_processes * num_nodes > 1:
        if params.batch_size < 2 * num_processes * num_nodes:
            raise UserError(
                f"train.batch_size={params.batch_size}: {name} share it, and BatchNorm needs two images each; take at "
                f"least {2 * num_processes * num_nodes}"
            )
        if device.type == "mps":
            raise UserError(f"{name}: an Apple GPU is one; leave it at 1, or take train.device=cpu")
        if device.type == "cuda" and device.index is not None:
            raise UserError(f"{name}: train.device={params.device} names one GPU; take train.device=cuda, which is all")
        if device.type == "cuda" and num_processes > torch.cuda.device_count():
            raise UserError(f"{name}: one a GPU, and this host has {torch.cuda.device_count()}; take at most that")
