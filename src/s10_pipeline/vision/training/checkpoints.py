"""Store checkpoints: one folder per training, atomic files, and a lock so that only one process trains in a folder.

A training that was killed at any moment can be resumed from its newest checkpoint.
"""

import json
import logging
import os
import re
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from pydantic import TypeAdapter

from ...identity.atomic import replacing, write_text
from ...identity.differences import Parts
from ...identity.regular_files import regular_file
from ..device import is_out_of_memory
from ..errors import UserError

log = logging.getLogger(__name__)

State = dict[str, Any]
OnEpoch = Callable[[dict[str, Any]], object]

# Name of a file in each training's folder of checkpoints. It lists the parameters and digests of inputs and code that
# the training's run key is computed from (:mod:`.run_key`).
DESCRIPTION = "run_key.json"


class CheckpointStore:
    """Folder of all checkpoints, with one sub-folder per training, named by the training's run key (a digest).

    Args:
        root: the folder, which is created when the first training is opened.
        on_epoch: called in this process with each epoch's row of history and timing, once the epoch's checkpoint is
            written (on CUDA: is being written); it must not raise.
    """

    def __init__(self, root: Path, on_epoch: OnEpoch = lambda _row: None) -> None:
        self.root, self.on_epoch = Path(root), on_epoch

    def key_for(self, key: str, epochs: int) -> str:
        """Return a training's folder name: its run key, plus ``epochs`` if that folder has checkpoints of later epochs.

        The name is ``key-epochs`` if the folder ``key`` has checkpoints of later epochs. This way a short trial after a
        long training does not overwrite the long one's checkpoints.
        """
        return key if RunCheckpoints(self.root / key).last_epoch() <= epochs else f"{key}-{epochs}"

    @contextmanager
    def open(self, run_key: str, keep: int) -> Iterator["RunCheckpoints"]:
        """Lock the folder of a training against other processes, and yield its checkpoints (context manager).

        Args:
            run_key: the folder's name, from :meth:`key_for`.
            keep: how many of the newest checkpoints to keep.

        Raises:
            UserError: another process holds the lock.
        """
        folder = self.root / run_key
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / "owner.lock")
        try:
            # The operating system releases the lock when its owner dies, even if it is killed.
            lock.acquire(timeout=0)
        except Timeout as error:
            raise UserError(
                f"train: another run is training exactly this (in {folder}); wait until it ends, or change train.seed"
            ) from error
        # Remove half-written checkpoints, which a process leaves that is killed while it writes.
        for leftover in folder.glob(".*.partial"):
            leftover.unlink(missing_ok=True)
        try:
            yield RunCheckpoints(folder, keep)
        finally:
            lock.release()

    def described(self) -> list[tuple[Path, Parts]]:
        """List all trainings in the order of their last start: the folder, and all that decides the result.

        Trainings whose :data:`DESCRIPTION` cannot be read are left out.
        """
        found = []
        for path in self.root.glob(f"*/{DESCRIPTION}"):
            with suppress(OSError, ValueError):
                depends = TypeAdapter(Parts).validate_json(regular_file(path).read_bytes())
                if {"parameters", "inputs", "code"} <= depends.keys():
                    found.append((path.stat().st_mtime, path.parent, depends))
        return [(folder, depends) for _, folder, depends in sorted(found, key=lambda item: item[0])]

    def mark_finished(self, run_key: str, epochs: int) -> None:
        """Note that the model of a training is stored, so that a forced run of as many epochs starts from scratch."""
        folder = self.root / run_key
        if folder.is_dir():
            write_text(folder / "finished.json", json.dumps({"epochs": epochs}))


class RunCheckpoints:
    """The checkpoints of one training, in files such as ``epoch-00012.pt``.

    Args:
        keep: how many of the newest checkpoints :meth:`save` leaves.
    """

    def __init__(self, folder: Path, keep: int = 1) -> None:
        self.folder = folder
        self._keep = keep

    def describe(self, depends: Parts, *, lr_found: bool = False) -> None:
        """Write the parameters and digests that decide the result of this training to its folder, unless already there.

        The file's modification time tells when the training was last started.

        Args:
            lr_found: whether the range test found the learning rate; recorded too, but no part of the run key.
        """
        path = self.folder / DESCRIPTION
        if path.exists():
            path.touch()
        else:
            write_text(path, json.dumps({**depends, "origin": {"lr_found": lr_found}}, indent=1))

    def is_unfinished(self, epochs: int) -> bool:
        """Return whether this training was interrupted and a training of ``epochs`` epochs can resume it.

        If so, its newest checkpoint is later than its stored model, and not later than epoch ``epochs``.
        """
        return (self.finished_epochs() or 0) < self.last_epoch() <= epochs

    def epochs_to_keep(self, epochs: int) -> int:
        """Return the epoch after which a training of ``epochs`` resumes; 0 if it starts from scratch.

        It starts from scratch if there is no checkpoint, or if its model of just as many epochs is stored.
        """
        return 0 if self.finished_epochs() == epochs else self.last_epoch()

    def finished_epochs(self) -> int | None:
        """Return for how many epochs the stored model of this training was trained; None if no model is stored."""
        try:
            return int(json.loads(regular_file(self.folder / "finished.json").read_bytes())["epochs"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def clear(self) -> None:
        """Delete the checkpoints of this training and the note that its model is stored."""
        for path in [*(path for _, path in self.saved()), self.folder / "finished.json"]:
            path.unlink(missing_ok=True)

    def save(self, epoch: int, state: State) -> None:
        """Save a training's state after epoch number ``epoch`` (from 1) as a checkpoint file.

        Args:
            state: tensors, numbers and strings, in nested lists and dicts.

        Raises:
            UserError: the file cannot be written; earlier checkpoints stay.
        """
        try:
            # Store run key and epoch too, so that :meth:`last` can reject a file copied from another training.
            named = {"run_key": self.folder.name, "epoch": epoch, "state": state}
            with replacing(self.folder / f"epoch-{epoch:05d}.pt") as partial:
                torch.save(named, partial)
        except (OSError, RuntimeError) as error:  # RuntimeError too, because torch.save raises it if the disk is full
            raise UserError(
                f"checkpoint of epoch {epoch}: cannot be written to {self.folder} ({error}); free space there and run "
                f"the same command again: it trains from epoch {epoch} on"
            ) from error
        for _, old in self.saved()[: -self._keep]:
            old.unlink(missing_ok=True)

    def last(self) -> tuple[int, State] | None:
        """Return (epoch, state) of the newest readable checkpoint, or None; rename damaged ones, with a warning.

        Raises:
            UserError: memory does not suffice, or the disk fails; checkpoints stay.
        """
        for epoch, path in reversed(self.saved()):
            try:
                with zipfile.ZipFile(path) as archive:
                    if (damaged := archive.testzip()) is not None:  # torch.load does not verify checksums
                        raise ValueError(f"{damaged} has another checksum")
                named = torch.load(path, map_location="cpu", weights_only=True)
                if (named["run_key"], named["epoch"]) != (self.folder.name, epoch):
                    raise ValueError(f"belongs to epoch {named['epoch']} of {named['run_key']}")
                return epoch, named["state"]
            except Exception as error:
                why = f"{type(error).__name__}: {error}".splitlines()[0][:200]
                if isinstance(error, OSError) or is_out_of_memory(error):  # the checkpoint may be intact
                    remedy = "free memory, or check the disk, and run the same command again"
                    raise UserError(f"checkpoint {path}: cannot be read now ({why}); {remedy}") from error
                # A damaged file can cause any exception, and training can resume from an earlier file.
                aside = path.with_suffix(".unreadable")
                os.replace(path, aside)
                log.warning("checkpoint %s cannot be read (%s); renamed to %s", path, why, aside.name)
        return None

    def last_epoch(self) -> int:
        """Return the epoch of this training's newest checkpoint file, readable or not; 0 if there is none."""
        return max((epoch for epoch, _ in self.saved()), default=0)

    def saved(self) -> list[tuple[int, Path]]:
        """Return (epoch, file) of each checkpoint, oldest first."""
        named = ((re.fullmatch(r"epoch-(\d+)", path.stem), path) for path in self.folder.glob("epoch-*.pt"))
        return sorted((int(match[1]), path) for match, path in named if match and path.is_file())
