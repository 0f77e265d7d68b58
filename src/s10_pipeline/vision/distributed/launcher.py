"""Train in several processes, one per GPU, with PyTorch's elastic launcher (the library behind torchrun)."""

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

# How long hosts wait for each other at the rendezvous, and in each collective operation of a training.
WAIT_SECONDS = 600

# A RuntimeError with one of these texts means that another process died. Gloo's errors name its source files, and
# torch's DataLoader has no error class for it.
DEATH_NOTES = ("gloo/", "DataLoader worker (pid")

# Loggers of the launcher, silenced because they use many lines for a failure that this module reports in one.
TALKATIVE = ("torch.distributed.elastic", "torch.multiprocessing", "torchelastic-events-null")


class LostError(RuntimeError):
    """A training process died, or lost its connection to one that did; a restart may help."""


class Meeting(NamedTuple):
    """Rendezvous of one launch.

    Attributes:
        address: ``HOST:PORT`` of the rendezvous.
        name: a name that no other launch has.
        host: this host's address; a name that sorts last on hosts that join.
    """

    address: str = "localhost:0"
    name: str = "training"
    host: str = "localhost"


@dataclass(frozen=True)
class Place:
    """Parameters and device of a process that gets its :class:`Job` from the first host later."""

    params: TrainParams
    device: torch.device


def train_in_processes(job: Job, show: Show, on_epoch: OnEpoch, meet: Callable[[], Meeting] = Meeting) -> None:
    """Train to the last epoch in several processes; rank 0 saves the checkpoints of ``job``.

    If a process dies, or loses its connection to the others, training restarts from the last checkpoint, at most
    ``distributed.max_restarts`` times. An error that would occur again ends the training at once.

    Raises:
        UserError: the one that a process raised first; or processes died more often than that.
        RuntimeError: any other error of a process, with its traceback.
    """
    max_restarts = job.params.distributed.max_restarts
    for restart in range(max_restarts + 1):
        try:
            launch(job, show, on_epoch, meet())
            return
        except LostError as error:
            failure, epoch = error, job.checkpoints.last_epoch() + 1
        if restart < max_restarts:
            log.warning("%s; restart %d of %d trains from epoch %d on", failure, restart + 1, max_restarts, epoch)
    raise UserError(
        f"train.distributed.max_restarts={max_restarts}: processes died more often ({failure}); "
        f"start the same command again to train from epoch {epoch} on"
    )


def launch(job: Job | Place, show: Show, on_epoch: OnEpoch, meeting: Meeting) -> None:
    """Run :func:`_train_rank` in new processes of this host and wait for them.

    Raises:
        LostError: a process died.
        UserError, RuntimeError: the error that a process raised.
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
            # with several hosts, start no store here: :mod:`.hosts` has one for all launches
            rdzv_configs={"join_timeout": WAIT_SECONDS, "is_host": num_nodes == 1},
            local_addr=meeting.host,
            max_restarts=0,  # torch would also restart after errors that occur again
            logs_specs=DefaultLogsSpecs(log_dir=folder),
            signals_to_handle="",  # this process keeps its own handlers; the launcher ends its processes when it exits
        )
        try:
            with listen(num_processes, show, on_epoch) as (writers, errors):
                elastic_launch(config, _train_rank)(job, writers)
        except ChildFailedError as died:
            raise _cause(died, errors) from None


def _cause(died: ChildFailedError, errors: list[Exception]) -> Exception:
    """Return the error that ended the processes: a UserError if any, else any that would occur again, else a death."""
    for error in sorted(errors, key=lambda error: not isinstance(error, UserError)):
        if not isinstance(error, LostError):
            return error
    rank, failure = died.get_first_failure()
    if failure.exitcode < 0:
        return LostError(f"training process {rank} died ({failure.signal_name()})")
    # most likely another process died, and this one noticed before the launcher did
    return errors[0] if errors else LostError(f"training process {rank} failed (exit code {failure.exitcode})")


def _train_rank(mine: Job | Place, writers: list[Connection]) -> None:
    """Train in this process, which is one of several. Send an error to the starting process and exit with code 1."""
    ranks = ProcessGroup(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]))
    rank_here, several_hosts = int(os.environ["LOCAL_RANK"]), mine.params.distributed.num_nodes > 1
    # Ctrl-C, and the death of the parent (set up by torch), send SIGINT to this process. Python's own handler would run
    # only after the current collective operation, which may hang; the system's handler ends the process at once.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sender = Sender(writers[rank_here])
    sender.take_log(logging.INFO if ranks.rank == 0 else logging.WARNING)
    torch.set_num_threads(max(1, torch.get_num_threads() // len(writers)))
    timeout = timedelta(seconds=WAIT_SECONDS) if several_hosts else None  # None: the backend's default
    try:
        if mine.device.type == "cuda":
            mine = replace(mine, device=torch.device("cuda", rank_here))
            torch.cuda.set_device(mine.device)
            distributed.init_process_group("nccl", timeout=timeout, device_id=mine.device)
        else:
            if not several_hosts:  # use loopback, because this host's name may not resolve
                os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo0" if sys.platform == "darwin" else "lo")
            distributed.init_process_group("gloo", timeout=timeout)
        job = _hand_over(mine) if several_hosts or isinstance(mine, Place) else mine
        shown = sender.show if ranks.rank == 0 else lambda *_: None
        train_here(job, shown, partial(sender.send, "epoch"), ranks)
        distributed.destroy_process_group()
    except Exception as error:
        sender.send("error", _to_raise(ranks.rank, error))
        sys.exit(1)


def _hand_over(mine: Job | Place) -> Job:
    """Return rank 0's job with this process's device. Of memory-mapped images, only the path is sent.

    Raises:
        UserError: the path of the images does not exist on this host.
    """
    handed: list[Any] = [(mine, mine.checkpoints.last()) if isinstance(mine, Job) else None]
    try:
        distributed.broadcast_object_list(handed, src=0)
    except FileNotFoundError as error:
        raise UserError(f"join: {error.filename}: not on this host; mount the first host's data root here") from error
    job: Job = handed[0][0]
    # use rank 0's newest checkpoint, because a shared folder may still show other hosts an older one
    job.checkpoints.last = lambda: handed[0][1]  # type: ignore[method-assign]
    return replace(job, device=mine.device)


def _to_raise(rank: int, error: Exception) -> Exception:
    """Return the error that the starting process shall raise for an error of a training process."""
    if isinstance(error, UserError):
        return error
    if _means_a_death(error):
        reason = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        return LostError(f"training process {rank} failed ({reason})")
    return RuntimeError(f"training process {rank} failed:\n{traceback.format_exc()}")


def _means_a_death(error: Exception) -> bool:
    """Return whether the error means that another process died, so that a restart may help."""
    # NCCL and the store raise DistError. Other RuntimeErrors are mostly bugs, so only those with known texts count.
    noted = isinstance(error, RuntimeError) and any(note in str(error) for note in DEATH_NOTES)
    return noted or isinstance(error, distributed.DistError)
