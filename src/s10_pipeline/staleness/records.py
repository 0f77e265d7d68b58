"""Run records: small JSON files, one per finished node and run, that store what the node read, wrote and used."""

import functools
import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, NoReturn
from urllib.parse import quote

from filelock import FileLock, Timeout
from kedro.io import AbstractDataset, DatasetError
from pydantic import StringConstraints, TypeAdapter

from ..identity.atomic import remove_leftovers, write_text
from ..identity.differences import Parts
from ..identity.digests import Memo
from ..identity.regular_files import regular_file

log = logging.getLogger(__name__)

# Time format of Kedro's version names, except that Kedro writes milliseconds and a Z instead of microseconds (%f).
VERSION_FORMAT = "%Y-%m-%dT%H.%M.%S.%f"

# Names of versions and runs are parts of paths that may be deleted, so the names must not contain path separators.
Name = Annotated[str, StringConstraints(pattern=r"^[^./\\\x00][^/\\\x00]*$")]


@dataclass(frozen=True)
class Record:
    """Run record of a finished node: what the node read, wrote and depended on.

    Attributes:
        node: name of the node.
        run: session id of the run, which is also the version of its outputs.
        parts: everything that the result depends on: code, parameters, inputs (digests), files, libraries, wiring.
        inputs: dataset -> version that the node read.
        outputs: dataset -> ``version`` and ``digest`` that the node saved.
        about: facts that do not decide the result: git, device, host, started, seconds, all parameters.
        same_as: the run that made the results, if this record only links them as the newest version; else None.
    """

    node: Annotated[str, StringConstraints(pattern="[^.]")]
    run: Name
    parts: Parts
    inputs: dict[str, Name | None]
    outputs: dict[str, dict[str, Name | None]]
    about: dict[str, Any] = field(default_factory=dict)
    same_as: Name | None = None

    def read(self) -> set[tuple[str, str]]:
        """Return (dataset name, version) of each versioned input of the node."""
        return {(name, version) for name, version in self.inputs.items() if version}

    def saved(self) -> set[tuple[str, str]]:
        """Return (dataset name, version) of each versioned output of the node."""
        return {(name, version) for name, output in self.outputs.items() if (version := output["version"])}


class RecordStore:
    """Folder of run records: one sub-folder per node, with one JSON file per run.

    Several processes may read and write the folder at once, because files appear atomically and never change.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.memo = Memo(folder / "memo.json")
        self._load = functools.cache(self._read)

    def all(self) -> list[Record]:
        """Return the run records of all nodes, newest first."""
        records = [record for path in self.folder.glob("nodes/*/*.json") if (record := self._load(path))]
        return sorted(records, key=lambda record: record.run, reverse=True)

    def of(self, node: str) -> list[Record]:
        """Return the run records of one node, newest first."""
        return [record for record in self.all() if record.node == node]

    def add(self, record: Record) -> None:
        """Store a run record. If the disk is full, log a warning: the node will run again, but no result is lost."""
        try:
            write_text(self.path_of(record), json.dumps(asdict(record), indent=1))
        except OSError as error:
            log.warning("%s: the run record of this stage cannot be saved (%s); it will run again", record.node, error)

    def path_of(self, record: Record) -> Path:
        # Escape the node's name to make it a folder name, because Kedro's default names contain brackets and arrows.
        folder = quote(record.node, safe="")[-200:]
        return self.folder / "nodes" / folder / f"{record.run}.json"

    def _read(self, path: Path) -> Record | None:
        try:
            return TypeAdapter(Record).validate_json(regular_file(path).read_bytes())
        except (OSError, ValueError) as error:
            log.warning("run record %s cannot be read (%s), so it is ignored", path, type(error).__name__)
            return None

    @contextmanager
    def running(self, run: str, newest: str = "") -> Iterator[str]:
        """Hold a lock that shows other processes that a run is in progress; first wait for ``kedro prune`` to end.

        The operating system releases the lock if the process is killed. When the context ends, the memo is saved.

        Args:
            run: proposed id of the run.
            newest: newest stored version. The id must sort after it, even if the clock was set back.

        Yields:
            The id of the run: ``run``, or a later one if it does not sort after ``newest`` or is in use.
        """
        run = run if run > newest else _next_version(newest)
        lock = FileLock(self.folder / "running" / f"{run}.lock")
        # If the disk is full or read-only, go on without a lock file; saving the first output reports the error.
        with suppress(OSError), self.alone() as going_on:
            while run in going_on:
                run = _next_version(run)
            lock = FileLock(self.folder / "running" / f"{run}.lock")
            lock.acquire()
            # Remove the lock files of killed runs. Remove partial files only if no other run is in progress, because
            # processes on other machines, which may be writing them, are not visible here. Leave out sub-folders with
            # records of their own: they belong to other environments, whose runs in progress are not known here.
            for path in self.folder.glob("running/*.lock"):
                if path.stem not in (run, *going_on):
                    path.unlink(missing_ok=True)
            if not going_on:
                remove_leftovers(self.folder.parent, apart=self.folder.name)
        try:
            yield run
        finally:
            self.memo.save()
            lock.release()
            with suppress(OSError):
                Path(lock.lock_file).unlink()

    @contextmanager
    def alone(self) -> Iterator[list[str]]:
        """Prevent new runs from starting while in the context; yield the ids of runs that are already in progress."""
        with FileLock(self.folder / "prune.lock"):
            yield [path.stem for path in sorted(self.folder.glob("running/*.lock")) if _is_held(path)]


def _is_held(path: Path) -> bool:
    with suppress(Timeout), FileLock(path, timeout=0):
        return False
    return True


def _next_version(version: str) -> str:
    """Return a later version name: the given time plus a millisecond; ``~`` is appended to a name that is no time."""
    try:
        later = datetime.strptime(version, f"{VERSION_FORMAT}Z") + timedelta(milliseconds=1)
    except (ValueError, OverflowError):
        return f"{version}~"
    return f"{later.strftime(VERSION_FORMAT)[:-3]}Z"


class RecordsDataset(AbstractDataset[NoReturn, RecordStore | None]):
    """Kedro dataset for the folder of run records: loads a :class:`RecordStore`, or None if the folder is remote.

    Examples:
        .. code-block:: yaml

            records:
              type: yours.staleness.records.RecordsDataset
              filepath: data/.records
    """

    def __init__(self, *, filepath: str) -> None:
        self.folder = filepath

    def load(self) -> RecordStore | None:
        return None if "://" in self.folder else RecordStore(Path(os.path.abspath(self.folder)))

    def save(self, data: NoReturn) -> NoReturn:
        raise DatasetError("records: run records are added through the loaded store, not as a node's output")

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self.folder}
