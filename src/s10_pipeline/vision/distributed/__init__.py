"""Training in several processes of one or several hosts; :mod:`s10_pipeline.vision.training` knows nothing of it."""

from ..training.engine import RunTraining, train_here
from ..training.params import TrainParams


def choose_run(params: TrainParams) -> RunTraining:
    """Return what runs a training: this process, or a launcher of the processes of ``train.distributed``."""
    if params.distributed.num_ranks == 1:
        return train_here
    if params.distributed.num_nodes > 1:
        from .hosts import train_with_other_hosts

        return train_with_other_hosts
    from .launcher import train_in_processes  # torch's launcher takes a while to import

    return train_in_processes
