"""Checkpoints of a training that may be killed at any moment: atomic, one folder per training, one owner at a time."""

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
from ..errors import UserError

log = logging.getLogger(__name__)

State = dict[str, Any]
OnEpoch = Callable[[dict[str, Any]], object]

# Of each training: what its run key is a digest of.
DESCRIPTION = "run_key.json"


class CheckpointStore:
    """A folder with one sub-folder per training, named by its run key.

    Args:
        root: the folder; made when the first training is opened.
        on_epoch: called with each stored epoch's row of history and timing, in this process; it must not raise.
    """

    def __init__(self, root: Path, on_epoch: OnEpoch = lambda _row: None) -> None:
        self.root, self.on_epoch = Path(root), on_epoch

    def key_for(self, key: str, epochs: int) -> str:
        """Return a training's folder name: its run key, or another where that has gone beyond ``epochs``.

        A short trial after a long training must not cost the long one's checkpoints.
        """
        return key if RunCheckpoints(self.root / key).last_epoch() <= epochs else f"{key}-{epochs}"

    @contextmanager
    def open(self, run_key: str, keep: int) -> Iterator["RunCheckpoints"]:
        """Own the checkpoints of a training while in the context.

        Args:
            run_key: from :meth:`key_for`.
            keep: how many of the newest checkpoints stay.

        Raises:
            UserError: another process owns it.
        """
        folder = self.root / run_key
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / "owner.lock")
        try:
            # the operating system gives the lock back when its owner dies, however it dies
            lock.acquire(timeout=0)
        except Timeout as error:
            what = f"another run is training exactly this (its checkpoints: {folder})"
            raise UserError(f"train: {what}; wait for it, or change train.seed") from error
        for leftover in folder.glob(".*.partial"):  # of an owner that was killed while it wrote
            leftover.unlink(missing_ok=True)
        try:
            yield RunCheckpoints(folder, keep)
        finally:
            lock.release()

    def described(self) -> list[tuple[Path, Parts]]:
        """(folder, what it depends on) of each training, oldest first; unreadable ones are left out."""
        found = []
        for path in self.root.glob(f"*/{DESCRIPTION}"):
            with suppress(OSError, ValueError):
                depends = TypeAdapter(Parts).validate_json(regular_file(path).read_bytes())
                if {"parameters", "inputs", "code"} <= depends.keys():
                    found.append((path.stat().st_mtime, path.parent, depends))
        return [(folder, depends) for _, folder, depends in sorted(found, key=lambda item: item[0])]

    def mark_finished(self, run_key: str, epochs: int) -> None:
        """Note that the model of this training is stored: a forced run trains afresh instead of going on."""
        folder = self.root / run_key
        if folder.is_dir():
            write_text(folder / "finished.json", json.dumps({"epochs": epochs}))


class RunCheckpoints:
    """Checkpoints of one training, ``epoch-00012.pt`` each.

    Args:
        keep: how many of the newest stay when one is saved.
    """

    def __init__(self, folder: Path, keep: int = 1) -> None:
        self.folder = folder
        self._keep = keep

    def describe(self, depends: Parts, *, lr_found: bool = False) -> None:
        """Note what this training depends on, for people and for :meth:`CheckpointStore.described`.

        Args:
            lr_found: the learning rate was found by the range test; it is noted beside what the run key is a digest of.
        """
        path = self.folder / DESCRIPTION
        if not path.exists():
            write_text(path, json.dumps({**depends, "origin": {"lr_found": lr_found}}, indent=1))

    def is_unfinished(self, epochs: int) -> bool:
        """Return whether the newest checkpoint belongs to no stored model and lies within ``epochs``."""
        return (self.finished_epochs() or 0) < self.last_epoch() <= epochs

    def epochs_to_keep(self, epochs: int) -> int:
        """Return the epoch that a training of ``epochs`` goes on after; 0: it starts afresh, its model is stored."""
        return 0 if self.finished_epochs() == epochs else self.last_epoch()

    def finished_epochs(self) -> int | None:
        """Epochs of the stored model that came of this training, if it got that far."""
        try:
            return int(json.loads(regular_file(self.folder / "finished.json").read_bytes())["epochs"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def clear(self) -> None:
        """Forget everything but the lock."""
        for path in [*(path for _, path in self.saved()), self.folder / "finished.json"]:
            path.unlink(missing_ok=True)

    def save(self, epoch: int, state: State) -> None:
        """Keep ``state`` (tensors, numbers, strings, lists, dicts) as the one after ``epoch`` (from 1).

        Raises:
            UserError: it cannot be written; earlier checkpoints stay.
        """
        try:
            # named inside too: a file that was copied here from another training must not pass for one of this
            named = {"run_key": self.folder.name, "epoch": epoch, "state": state}
            with replacing(self.folder / f"epoch-{epoch:05d}.pt") as partial:
                torch.save(named, partial)
        except (OSError, RuntimeError) as error:  # torch's zip writer turns a full disk into a RuntimeError
            remedy = f"free space there and start the same command again: it goes on after epoch {epoch - 1}"
            what = f"cannot be written to {self.folder} ({error})"
            raise UserError(f"checkpoint of epoch {epoch}: {what}; {remedy}") from error
        for _, old in self.saved()[: -self._keep]:
            old.unlink(missing_ok=True)

    def last(self) -> tuple[int, State] | None:
        """The newest checkpoint that can be read, as (epoch, state); others are set aside with a warning."""
        for epoch, path in reversed(self.saved()):
            try:
                with zipfile.ZipFile(path) as archive:
                    if (damaged := archive.testzip()) is not None:  # torch itself looks at no checksum
                        raise ValueError(f"{damaged} has another checksum")
                named = torch.load(path, map_location="cpu", weights_only=True)
                if (named["run_key"], named["epoch"]) != (self.folder.name, epoch):
                    raise ValueError(f"belongs to epoch {named['epoch']} of {named['run_key']}")
                return epoch, named["state"]
            except (MemoryError, OSError):
                raise  # the machine's trouble, not the file's
            except Exception as error:
                # anything may be in a damaged file: none of it may end a run that can start again without it
                aside = path.with_suffix(".unreadable")
                os.replace(path, aside)
                why = f"{type(error).__name__}: {error}".splitlines()[0][:200]
                log.warning("checkpoint %s cannot be read (%s); set aside as %s", path, why, aside.name)
        return None

    def last_epoch(self) -> int:
        """Return the epoch of the newest checkpoint, readable or not; 0 without one."""
        return max((epoch for epoch, _ in self.saved()), default=0)

    def saved(self) -> list[tuple[int, Path]]:
        """(epoch, file) of each checkpoint, oldest first."""
        named = ((re.fullmatch(r"epoch-(\d+)", path.stem), path) for path in self.folder.glob("epoch-*.pt"))
        return sorted((int(match[1]), path) for match, path in named if match and path.is_file())
