"""Check the parameters ``train`` against device and data before anything long starts."""

import torch

from ..data.split import Split
from ..errors import UserError
from .params import StepParams, TrainParams


def check_batch_size(train_set: Split, params: StepParams) -> None:
    """Raise UserError if the batch size is larger than the number of training images."""
    if params.batch_size > len(train_set):
        raise UserError(
            f"train.batch_size={params.batch_size}: only {len(train_set)} training images are left after the "
            "validation split; use a smaller batch size"
        )


def num_batches(train_set: Split, params: StepParams) -> int:
    """Return the number of training batches in all epochs, not counting smaller last batches."""
    return params.epochs * max(1, len(train_set) // params.batch_size)


def check_device(params: TrainParams, device: torch.device) -> None:
    """Raise UserError if there are too many processes for the device or the batch, or ``cuda_graph`` cannot be used."""
    num_processes, num_nodes = params.distributed.num_processes, params.distributed.num_nodes
    num_ranks = params.distributed.num_ranks
    setting = f"train.distributed.num_processes={num_processes}" + f" on each of {num_nodes} hosts" * (num_nodes > 1)
    if params.cuda_graph == "on" and device.type != "cuda":
        raise UserError(f"train.cuda_graph=on: needs a CUDA GPU, but this run uses {device.type}; use auto")
    if params.cuda_graph == "on" and num_ranks > 1:
        raise UserError(f"train.cuda_graph=on: works only in a single process, not with {setting}; use auto")
    if num_ranks > 1:
        if params.batch_size < 2 * num_ranks:
            raise UserError(
                f"train.batch_size={params.batch_size}: with {setting}, BatchNorm needs two images of each batch in "
                f"each process; use at least {2 * num_ranks}"
            )
        if device.type == "mps":
            raise UserError(f"{setting}: there is only one Apple GPU; use one process, or train.device=cpu")
        if device.type == "cuda" and device.index is not None:
            raise UserError(f"{setting}: train.device={params.device} names one GPU; use train.device=cuda for all")
        if device.type == "cuda" and num_processes > (count := torch.cuda.device_count()):
            raise UserError(f"{setting}: each process needs a GPU, and this host has {count}; use at most {count}")
