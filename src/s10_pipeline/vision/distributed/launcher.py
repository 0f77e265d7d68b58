"""Training in several processes of this host, one a GPU, by PyTorch's elastic launcher (the engine of torchrun)."""

import logging
import os
import signal
import sys
import tempfile
import traceback
from dataclasses import replace
from functools import partial
from multiprocessing.connection import Connection

import torch
from torch import distributed
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from ..errors import UserError
from ..progress import Show
from ..training.checkpoints import OnEpoch
from ..training.engine import Job, train_here
from .messages import Sender, listen
from .ranks import ProcessGroup

log = logging.getLogger(__name__)

# In plain RuntimeErrors where another process died: Gloo's, which name its source files, and those of torch's loader.
DEATH_NOTES = ("gloo/", "DataLoader worker (pid")

# Loggers of the launcher, which say in many lines what is said here in one.
TALKATIVE = ("torch.distributed.elastic", "torch.multiprocessing", "torchelastic-events-null")


class LostError(RuntimeError):
    """A training process ended because another one died: the training may go on if it is started again."""


def train_in_processes(job: Job, show: Show, on_epoch: OnEpoch) -> None:
    """Train to the last epoch; the first process leaves its checkpoints in a folder that this one owns.

    A training whose process died (or lost the others) goes on from its last checkpoint, at most
    ``distributed.max_restarts`` times; an error that would come again ends it at once.

    Raises:
        UserError: of the process that raised it first; or processes died too often.
        RuntimeError: any other error of a process, with its traceback.
    """
    max_restarts = job.params.distributed.max_restarts
    for restart in range(max_restarts + 1):
        try:
            _launch(job, show, on_epoch)
            return
        except LostError as error:
            failure, epoch = error, job.checkpoints.last_epoch()
        if restart < max_restarts:
            log.warning("%s; going on after epoch %d (restart %d of %d)", failure, epoch, restart + 1, max_restarts)
    raise UserError(
        f"train.distributed.max_restarts={max_restarts}: processes died more often ({failure}); "
        f"start the same command again: it goes on after epoch {epoch}"
    )


def _launch(job: Job, show: Show, on_epoch: OnEpoch) -> None:
    """Run :func:`_train_rank` in new processes and wait for them.

    Raises:
        LostError: a process died.
        UserError, RuntimeError: of a process.
    """
    num_processes = job.params.distributed.num_processes
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    with tempfile.TemporaryDirectory(prefix="s10_pipeline-") as folder:
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=num_processes,
            run_id="training",  # each launch has a rendezvous of its own
            rdzv_backend="c10d",
            rdzv_endpoint="localhost:0",
            local_addr="localhost",
            max_restarts=0,  # it cannot tell an error that comes again from a death
            logs_specs=DefaultLogsSpecs(log_dir=folder),
            signals_to_handle="",  # Ctrl-C and SIGTERM end this process as ever, and the launcher its processes then
        )
        try:
            with listen(num_processes, show, on_epoch) as (writers, errors):
                elastic_launch(config, _train_rank)(job, writers)
        except ChildFailedError as died:
            raise _cause(died, errors) from None


def _cause(died: ChildFailedError, errors: list[Exception]) -> Exception:
    """Return the error that ended the processes: a user's, else any that would come again, else a death."""
    for error in sorted(errors, key=lambda error: not isinstance(error, UserError)):
        if not isinstance(error, LostError):
            return error
    rank, failure = died.get_first_failure()
    if failure.exitcode < 0:
        return LostError(f"training process {rank} died ({failure.signal_name()})")
    # most likely another one died, and this one noticed before the launcher did
    return errors[0] if errors else LostError(f"training process {rank} failed (exit code {failure.exitcode})")


def _train_rank(job: Job, writers: list[Connection]) -> None:
    """Train in one of several processes."""
    ranks = ProcessGroup(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]))
    # Ctrl-C reaches all processes of a terminal, and torch asks the system to send SIGINT where the parent dies. Python
    # would notice only after the exchange with other processes that this one may wait in.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sender = Sender(writers[ranks.rank])
    sender.take_log(logging.INFO if ranks.rank == 0 else logging.WARNING)
    torch.set_num_threads(max(1, torch.get_num_threads() // ranks.count))
    try:
        if job.device.type == "cuda":
            job = replace(job, device=torch.device("cuda", ranks.rank))
            torch.cuda.set_device(job.device)
            distributed.init_process_group("nccl", device_id=job.device)
        else:
            # all processes are on this host, whose own name may resolve to nothing
            os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo0" if sys.platform == "darwin" else "lo")
            distributed.init_process_group("gloo")
        train_here(job, sender.show if ranks.rank == 0 else lambda *_: None, partial(sender.send, "epoch"), ranks)
        distributed.destroy_process_group()
    except Exception as error:
        sender.send("error", _as_told(ranks.rank, error))
        sys.exit(1)


def _as_told(rank: int, error: Exception) -> Exception:
    """Return the error of a training process as the one that started it raises it."""
    if isinstance(error, UserError):
        return error
    if _tells_of_a_death(error):
        reason = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        return LostError(f"training process {rank} failed ({reason})")
    return RuntimeError(f"training process {rank} failed:\n{traceback.format_exc()}")


def _tells_of_a_death(error: Exception) -> bool:
    """Whether another process's death came to light in it, so that a restart may help."""
    # NCCL and the store have classes for what happens between processes; most RuntimeErrors are the program's own
    noted = isinstance(error, RuntimeError) and any(note in str(error) for note in DEATH_NOTES)
    return noted or isinstance(error, distributed.DistError)
