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

# Time limit in seconds: for hosts to connect to each other, and for each collective operation, such as an all-reduce.
WAIT_SECONDS = 600

# If a RuntimeError contains one of these texts, another process died, so a restart may help. Gloo and torch's
# DataLoader have no error class for this case; Gloo's messages contain the paths of its source files.
DEATH_NOTES = ("gloo/", "DataLoader worker (pid")

# Loggers of torch's elastic launcher. They are silenced, because they print many lines for each failure, which this
# module reports in one line.
TALKATIVE = ("torch.distributed.elastic", "torch.multiprocessing", "torchelastic-events-null")


class LostError(RuntimeError):
    """A training process died, or lost its connection to one that died, so restarting the training may help."""


class Rendezvous(NamedTuple):
    """Address and name by which the processes of a training find each other at one start or restart.

    Attributes:
        address: ``HOST:PORT`` of the rendezvous.
        name: a name that no other start of a training has.
        host: this host's address; a name that sorts last on hosts that join.
    """

    address: str = "localhost:0"
    name: str = "training"
    host: str = "localhost"


@dataclass(frozen=True)
class JoiningHost:
    """Parameters and device of a joining host, whose processes receive the :class:`Job` from the first host."""

    params: TrainParams
    device: torch.device


def train_in_processes(job: Job, show: Show, on_epoch: OnEpoch, meet: Callable[[], Rendezvous] = Rendezvous) -> None:
    """Train to the last epoch in several processes, of which the one with rank 0 saves the checkpoints.

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
            failure, next_epoch = error, job.checkpoints.last_epoch() + 1
        if restart < max_restarts:
            log.warning("restart %d of %d, from epoch %d on: %s", restart + 1, max_restarts, next_epoch, failure)
    raise UserError(
        f"train.distributed.max_restarts={max_restarts}: training processes died more often than that ({failure}); "
        f"start the same command again to train from epoch {next_epoch} on"
    )


def launch(job: Job | JoiningHost, show: Show, on_epoch: OnEpoch, rendezvous: Rendezvous) -> None:
    """Train in new processes of this host, started by torch's elastic launcher, and wait until they end.

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
            run_id=rendezvous.name,
            rdzv_backend="c10d",
            rdzv_endpoint=rendezvous.address,
            # On one host, torch starts the key-value store of the rendezvous. With several hosts, torch must not start
            # one, because :mod:`.hosts` has a store already, which also serves restarts.
            rdzv_configs={"join_timeout": WAIT_SECONDS, "is_host": num_nodes == 1},
            local_addr=rendezvous.host,
            # Switch off torch's restarts, which would follow every error. :func:`train_in_processes` restarts instead,
            # but only after the death of a process.
            max_restarts=0,
            logs_specs=DefaultLogsSpecs(log_dir=folder),
            # Let torch's launcher install no signal handlers, because this process keeps its own. The launcher ends the
            # training processes whenever it exits.
            signals_to_handle="",
        )
        try:
            with listen(num_processes, show, on_epoch) as (writers, errors):
                elastic_launch(config, _train_rank)(job, writers)
        except ChildFailedError as died:
            raise _cause(died, errors) from None


def _cause(died: ChildFailedError, errors: list[Exception]) -> Exception:
    """Choose the error to raise: a UserError if any, else another that a restart would repeat, else a LostError."""
    for error in sorted(errors, key=lambda error: not isinstance(error, UserError)):
        if not isinstance(error, LostError):
            return error
    rank, failure = died.get_first_failure()
    if failure.exitcode < 0:
        return LostError(f"training process {rank} died ({failure.signal_name()})")
    # Only LostErrors are left: these processes noticed, before the launcher, that another one died. Report the first.
    return errors[0] if errors else LostError(f"training process {rank} failed (exit code {failure.exitcode})")


def _train_rank(mine: Job | JoiningHost, writers: list[Connection]) -> None:
    """Train in this process, one of several. If an error occurs, send it to the parent process and exit with code 1."""
    ranks = ProcessGroup(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]))
    rank_here, several_hosts = int(os.environ["LOCAL_RANK"]), mine.params.distributed.num_nodes > 1
    # End this process at once on SIGINT, which it gets at Ctrl-C and (set up by torch) when its parent process dies.
    # Python's own handler would run only after the current collective operation, which may hang.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sender = Sender(writers[rank_here])
    sender.take_log(logging.INFO if ranks.rank == 0 else logging.WARNING)
    torch.set_num_threads(max(1, torch.get_num_threads() // len(writers)))
    timeout = timedelta(seconds=WAIT_SECONDS) if several_hosts else None  # None means the backend's default time limit
    try:
        if mine.device.type == "cuda":
            mine = replace(mine, device=torch.device("cuda", rank_here))
            torch.cuda.set_device(mine.device)
            distributed.init_process_group("nccl", timeout=timeout, device_id=mine.device)
        else:
            if not several_hosts:  # use the loopback interface, because this host's name may not resolve
                os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo0" if sys.platform == "darwin" else "lo")
            distributed.init_process_group("gloo", timeout=timeout)
        job = _share_job(mine) if several_hosts or isinstance(mine, JoiningHost) else mine
        shown = sender.show if ranks.rank == 0 else lambda *_: None
        train_here(job, shown, partial(sender.send, "epoch"), ranks)
        distributed.destroy_process_group()
    except Exception as error:
        sender.send("error", _to_raise(ranks.rank, error))
        sys.exit(1)


def _share_job(mine: Job | JoiningHost) -> Job:
    """Send the training job of rank 0 to all processes; return it with the device of this process.

    Of memory-mapped images, only the file's path is sent, so each host needs that file.

    Raises:
        UserError: the path of the images does not exist on this host.
    """
    handed: list[Any] = [(mine, mine.checkpoints.last()) if isinstance(mine, Job) else None]
    try:
        distributed.broadcast_object_list(handed, src=0)
    except FileNotFoundError as error:
        raise UserError(f"join: {error.filename}: not on this host; mount the first host's data root here") from error
    # Resume from the checkpoint that rank 0 sent, because a shared folder may still show other hosts an older one.
    job: Job = handed[0][0]
    job.checkpoints.last = lambda: handed[0][1]  # type: ignore[method-assign]
    return replace(job, device=mine.device)


def _to_raise(rank: int, error: Exception) -> Exception:
    """Convert an error of a training process to the error that its parent process raises."""
    if isinstance(error, UserError):
        return error
    if _means_a_death(error):
        reason = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        return LostError(f"training process {rank} failed ({reason})")
    return RuntimeError(f"training process {rank} failed:\n{traceback.format_exc()}")


def _means_a_death(error: Exception) -> bool:
    """Return whether the error means that another process died, so that a restart may help."""
    # NCCL and torch's key-value store raise DistError if another process died. Other RuntimeErrors are mostly bugs, so
    # only those with a text of DEATH_NOTES mean a death.
    noted = isinstance(error, RuntimeError) and any(note in str(error) for note in DEATH_NOTES)
    return noted or isinstance(error, distributed.DistError)
