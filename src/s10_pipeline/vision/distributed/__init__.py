"""Train in several processes on one or more hosts; :mod:`s10_pipeline.vision.training` never imports this package."""

from ..training.engine import RunTraining, train_here
from ..training.params import TrainParams


def choose_run(params: TrainParams) -> RunTraining:
    """Return the function that runs a training, in this process or in several, as ``params.distributed`` says."""
    if params.distributed.num_ranks == 1:
        return train_here
    if params.distributed.num_nodes > 1:
        from .hosts import train_with_other_hosts

        return train_with_other_hosts
    from .launcher import train_in_processes  # imported only here, because torch's launcher is slow to import

    return train_in_processes
