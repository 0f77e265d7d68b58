"""Training in several processes, one per GPU, by PyTorch's elastic launcher (the engine of torchrun)."""

import logging
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import torch
from torch import distributed
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from ..errors import UserError
from ..progress import Show
from ..training.checkpoints import OnEpoch
from ..training.engine import Job, train_here
from ..training.params import TrainParams
from .messages import Sender, listen
from .ranks import ProcessGroup

log = logging.getLogger(__name__)

# How long hosts wait for each other: to meet, and in each exchange of a training.
WAIT_SECONDS = 600

# In plain RuntimeErrors where another process died: Gloo's, which name its source files, and those of torch's loader.
DEATH_NOTES = ("gloo/", "DataLoader worker (pid")

# Loggers of the launcher, which say in many lines what is said here in one.
TALKATIVE = ("torch.distributed.elastic", "torch.multiprocessing", "torchelastic-events-null")


class LostError(RuntimeError):
    """A training process ended because another one died: the training may go on if it is started again."""


class Meeting(NamedTuple):
    """Where the agents of a launch meet: ``HOST:PORT``, a name that no other launch has, and this host's address."""

    address: str = "localhost:0"
    name: str = "training"
    host: str = "localhost"


@dataclass(frozen=True)
class Place:
    """Parameters and device of a process that has not been handed its :class:`Job` yet."""

    params: TrainParams
    device: torch.device


def train_in_processes(job: Job, show: Show, on_epoch: OnEpoch, meet: Callable[[], Meeting] = Meeting) -> None:
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
            launch(job, show, on_epoch, meet())
            return
        except LostError as error:
            failure, epoch = error, job.checkpoints.last_epoch()
        if restart < max_restarts:
            log.warning("%s; going on after epoch %d (restart %d of %d)", failure, epoch, restart + 1, max_restarts)
    raise UserError(
        f"train.distributed.max_restarts={max_restarts}: processes died more often ({failure}); "
        f"start the same command again: it goes on after epoch {epoch}"
    )


def launch(job: Job | Place, show: Show, on_epoch: OnEpoch, meeting: Meeting) -> None:
    """Run :func:`_train_rank` in new processes of this host and wait for them.

    Raises:
        LostError: a process died.
        UserError, RuntimeError: of a process.
        RendezvousError, DistError: the hosts did not meet.
    """
    num_processes, num_nodes = job.params.distributed.num_processes, job.params.distributed.num_nodes
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    with tempfile.TemporaryDirectory(prefix="s10_pipeline-") as folder:
        config = LaunchConfig(
            min_nodes=num_nodes,
            max_nodes=num_nodes,
            nproc_per_node=num_processes,
            run_id=meeting.name,
            rdzv_backend="c10d",
            rdzv_endpoint=meeting.address,
            # several hosts meet in a store that outlives the launch
            rdzv_configs={"join_timeout": WAIT_SECONDS, "is_host": num_nodes == 1},
            local_addr=meeting.host,
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


def _train_rank(mine: Job | Place, writers: list[Connection]) -> None:
    """Train in one of several processes."""
    ranks = ProcessGroup(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]))
    rank_here, several_hosts = int(os.environ["LOCAL_RANK"]), mine.params.distributed.num_nodes > 1
    # Ctrl-C reaches all processes of a terminal, and torch asks the system to send SIGINT where the parent dies. Python
    # would notice only after the exchange with other processes that this one may wait in.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sender = Sender(writers[rank_here])
    sender.take_log(logging.INFO if ranks.rank == 0 else logging.WARNING)
    torch.set_num_threads(max(1, torch.get_num_threads() // len(writers)))
    timeout = timedelta(seconds=WAIT_SECONDS) if several_hosts else None  # None: as long as the backend does
    try:
        if mine.device.type == "cuda":
            mine = replace(mine, device=torch.device("cuda", rank_here))
            torch.cuda.set_device(mine.device)
            distributed.init_process_group("nccl", timeout=timeout, device_id=mine.device)
        else:
            if not several_hosts:  # whose own name may resolve to nothing
                os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo0" if sys.platform == "darwin" else "lo")
            distributed.init_process_group("gloo", timeout=timeout)
        job = _hand_over(mine) if several_hosts or isinstance(mine, Place) else mine
        shown = sender.show if ranks.rank == 0 else lambda *_: None
        train_here(job, shown, partial(sender.send, "epoch"), ranks)
        distributed.destroy_process_group()
    except Exception as error:
        sender.send("error", _as_told(ranks.rank, error))
        sys.exit(1)


def _hand_over(mine: Job | Place) -> Job:
    """Return the first process's job, on this process's device. Memory-mapped images travel as their path.

    Raises:
        UserError: this host has no such path.
    """
    handed: list[Any] = [(mine, mine.checkpoints.last()) if isinstance(mine, Job) else None]
    try:
        distributed.broadcast_object_list(handed, src=0)
    except FileNotFoundError as error:
        raise UserError(f"join: {error.filename}: not here; mount the first host's data root at its path") from error
    job: Job = handed[0][0]
    # a shared folder may still show other hosts an older state
    job.checkpoints.last = lambda: handed[0][1]  # type: ignore[method-assign]
    return replace(job, device=mine.device)


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
