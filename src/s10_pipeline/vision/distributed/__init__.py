"""Training in several processes of this host; :mod:`s10_pipeline.vision.training` knows nothing of it."""

from ..training.engine import RunTraining, train_here
from ..training.params import TrainParams


def choose_run(params: TrainParams) -> RunTraining:
    """Return what runs a training: this process, or the launcher of ``train.distributed.num_processes``."""
    if params.distributed.num_processes == 1:
        return train_here
    from .launcher import train_in_processes  # torch's launcher takes a while to import

    return train_in_processes
