"""Training in several processes of this host, one a GPU, by PyTorch's elastic launcher (the engine of torchrun)."""

import logging
import os
import signal
import sys
import tempfile
import traceback
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

import torch
from torch import distributed
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from ..errors import UserError
from ..progress import BarLike
from ..training.checkpoint_writer import CheckpointWriter
from ..training.checkpoints import RunCheckpoints
from ..training.data import TrainingData
from ..training.params import TrainParams
from ..training.trainer import Trainer
from .messages import NullProgress, Sender, listen
from .ranks import ProcessGroup

log = logging.getLogger(__name__)

# In plain RuntimeErrors where another process died: Gloo's, which name its source files, and those of torch's loader.
DEATH_NOTES = ("gloo/", "DataLoader worker (pid")


@dataclass(frozen=True)
class _Job:
    """What every process of a training is given."""

    data: TrainingData
    lr: float
    params: TrainParams
    device_type: str
    folder: Path
    num_threads: int
    parent: int


def train_in_processes(
    data: TrainingData, lr: float, params: TrainParams, device: torch.device, checkpoints: RunCheckpoints, bar: BarLike
) -> None:
    """Train to the last epoch; the first process leaves its checkpoints in a folder that this one owns.

    A training whose process died (or lost the others) goes on from its last checkpoint, at most
    ``distributed.max_restarts`` times; an error that would come again ends it at once.

    Raises:
        UserError: of the process that raised it first; or processes died too often.
        RuntimeError: any other error of a process, with its traceback.
    """
    num_threads = max(1, torch.get_num_threads() // params.distributed.num_processes)
    job = _Job(data, lr, params, device.type, checkpoints.folder, num_threads, os.getpid())
    for restart in range(params.distributed.max_restarts + 1):
        failure = _launch(job, bar)
        if failure is None:
            return
        epoch = max((epoch for epoch, _ in checkpoints.saved()), default=0)
        if restart < params.distributed.max_restarts:
            log.warning("%s; going on after epoch %d (restart %d of %d)", failure, epoch, restart + 1,
                        params.distributed.max_restarts)  # fmt: skip
    raise UserError(
        f"train.distributed.max_restarts={params.distributed.max_restarts}: processes died more often ({failure}); "
        f"start the same command again: it goes on after epoch {epoch}"
    )


def _launch(job: _Job, bar: BarLike) -> str | None:
    """Start all processes and wait for them; why they ended, if that may not happen again."""
    num_processes = job.params.distributed.num_processes
    pipes = [get_context("spawn").Pipe(duplex=False) for _ in range(num_processes)]
    with (
        tempfile.TemporaryDirectory(prefix="s10_pipeline-") as folder,
        _own_signals(),
        _quiet_launcher(),
    ):
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=num_processes,
            run_id=uuid.uuid4().hex,
            rdzv_backend="c10d",
            rdzv_endpoint="localhost:0",
            local_addr="localhost",
            max_restarts=0,  # it cannot tell an error that comes again from a death
            start_method="spawn",
            logs_specs=DefaultLogsSpecs(log_dir=folder),
        )
        died = None
        with listen([reader for reader, _ in pipes], bar) as errors:
            try:
                elastic_launch(config, _train_rank)(job, [writer for _, writer in pipes])
            except ChildFailedError as error:
                died = error
            except SignalException as error:
                raise KeyboardInterrupt from error
            finally:
                for _, writer in pipes:
                    writer.close()
    if died is None:
        return None
    return _explain(died, errors)


def _explain(died: ChildFailedError, errors: dict[int, tuple[str, str]]) -> str:
    for _rank, (kind, text) in sorted(errors.items()):
        if kind == "user":
            raise UserError(text)
    for rank, (kind, text) in sorted(errors.items()):
        if kind == "bug":
            raise RuntimeError(f"training process {rank} failed:\n{text}")
    rank, failure = died.get_first_failure()
    if failure.exitcode < 0:
        return f"training process {rank} died ({failure.signal_name()})"
    # most likely another one died, and this one noticed before the launcher did
    return f"training process {rank} failed ({errors[rank][1] if rank in errors else f'exit code {failure.exitcode}'})"


def _train_rank(job: _Job, writers: list[Connection]) -> None:
    """What each process does."""
    ranks = ProcessGroup(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]))
    sender = Sender(writers[ranks.rank])
    sender.take_log(logging.INFO if ranks.rank == 0 else logging.WARNING)
    signal.signal(signal.SIGINT, lambda _signal, _frame: _end_with_parent(job.parent))
    try:
        torch.set_num_threads(job.num_threads)
        device = torch.device(job.device_type, ranks.rank) if job.device_type == "cuda" else torch.device("cpu")
        _join_group(device)
        with CheckpointWriter(RunCheckpoints(job.folder, job.params.keep_checkpoints), device) as checkpoints:
            trainer = Trainer(job.data, job.lr, job.params, device, ranks)
            trainer.train(checkpoints, sender if ranks.rank == 0 else NullProgress())
        distributed.destroy_process_group()
    except UserError as error:
        sender.send("user", str(error))
        sys.exit(1)
    except Exception as error:
        if _tells_of_a_death(error):
            sender.send("lost", f"{type(error).__name__}: {error}".splitlines()[0][:200])
        else:
            sender.send("bug", traceback.format_exc())
        sys.exit(1)


def _tells_of_a_death(error: Exception) -> bool:
    """Whether another process's death came to light in it, so that a restart may help."""
    # NCCL and the store have classes for what happens between processes; most RuntimeErrors are the program's own
    noted = isinstance(error, RuntimeError) and any(note in str(error) for note in DEATH_NOTES)
    return noted or isinstance(error, distributed.DistError)


def _end_with_parent(parent: int) -> None:
    # Ctrl-C reaches all processes of a terminal: the parent ends them in order. Its death sends SIGINT too
    # (torch.multiprocessing asks the system to): nobody would hear of the rest of the training.
    if os.getppid() != parent:
        os._exit(1)


def _join_group(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.set_device(device)
        distributed.init_process_group("nccl", device_id=device)
        return
    # all processes are on this host, whose own name may resolve to nothing
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo0" if sys.platform == "darwin" else "lo")
    distributed.init_process_group("gloo")


@contextmanager
def _own_signals() -> Iterator[None]:
    """Give back the handlers that the launcher takes."""
    names = [name for name in ("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT") if hasattr(signal, name)]
    before = {name: signal.getsignal(getattr(signal, name)) for name in names}
    try:
        yield
    finally:
        for name, handler in before.items():
            try:
                signal.signal(getattr(signal, name), handler)
            except ValueError:  # not in the main thread, where the launcher took none either
                return


@contextmanager
def _quiet_launcher() -> Iterator[None]:
    """Its log lines say in many words what is said here in one."""
    loggers = [
        logging.getLogger(name)
        for name in ("torch.distributed.elastic", "torch.multiprocessing", "torchelastic-events-null")
    ]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
