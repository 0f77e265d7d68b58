"""What made each output version: a small JSON file for every node that finished."""

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

VERSION_FORMAT = "%Y-%m-%dT%H.%M.%S.%f"  # of Kedro, which ends it with milliseconds and a Z


# Versions and runs become parts of paths, some of which are removed.
Name = Annotated[str, StringConstraints(pattern=r"^[^./\\\x00][^/\\\x00]*$")]


@dataclass(frozen=True)
class Record:
    """A node that finished, or whose results a later run took over (then ``same_as`` names the run that made them).

    Attributes:
        run: session id, which is also the version of what the run saved.
        parts: what the result depends on, in groups: code, parameters, inputs (digests), files, libraries, wiring.
        inputs: dataset -> version that was read.
        outputs: dataset -> ``version`` and ``digest``.
        about: what cannot change the result: git, device, host, started, seconds, all parameters.
    """

    node: Annotated[str, StringConstraints(pattern="[^.]")]
    run: Name
    parts: Parts
    inputs: dict[str, Name | None]
    outputs: dict[str, dict[str, Name | None]]
    about: dict[str, Any] = field(default_factory=dict)
    same_as: Name | None = None

    def read(self) -> set[tuple[str, str]]:
        """Return the versions that it read, each with its dataset."""
        return {(name, version) for name, version in self.inputs.items() if version}

    def saved(self) -> set[tuple[str, str]]:
        """Return the versions that it wrote, each with its dataset."""
        return {(name, version) for name, output in self.outputs.items() if (version := output["version"])}


class RecordStore:
    """A folder with one folder per node, and in it one file per run.

    Any number of processes may read and write: files are whole when they appear and never change.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.memo = Memo(folder / "memo.json")
        self._load = functools.cache(self._read)

    def all(self) -> list[Record]:
        """Every record, newest first."""
        records = [record for path in self.folder.glob("nodes/*/*.json") if (record := self._load(path))]
        return sorted(records, key=lambda record: record.run, reverse=True)

    def of(self, node: str) -> list[Record]:
        """A node's records, newest first."""
        return [record for record in self.all() if record.node == node]

    def add(self, record: Record) -> None:
        """Keep a record. If it cannot be written (a full disk), that costs a rerun some day, never results."""
        try:
            write_text(self.path_of(record), json.dumps(asdict(record), indent=1))
        except OSError as error:
            log.warning("%s: not recorded (%s); the stage will run again", record.node, error)

    def path_of(self, record: Record) -> Path:
        folder = quote(record.node, safe="")[-200:]  # names that Kedro makes up hold brackets and arrows
        return self.folder / "nodes" / folder / f"{record.run}.json"

    def _read(self, path: Path) -> Record | None:
        try:
            return TypeAdapter(Record).validate_json(regular_file(path).read_bytes())
        except (OSError, ValueError) as error:
            log.warning("record %s cannot be read (%s) and is passed over", path, type(error).__name__)
            return None

    @contextmanager
    def running(self, run: str, newest: str = "") -> Iterator[str]:
        """Be seen by others as a run that is going on; waits for a pruning to end. The lock dies with its process.

        Gives the run's id: above ``newest``, the newest version that is stored, whatever the clock says, and another
        than those of runs that are going on. What the run found out for the memo is saved at its end.
        """
        run = run if run > newest else _next_version(newest)
        lock = FileLock(self.folder / "running" / f"{run}.lock")
        # on a full or read-only disk the first save, or record, says so
        with suppress(OSError), self.alone() as going_on:
            while run in going_on:
                run = _next_version(run)
            lock = FileLock(self.folder / "running" / f"{run}.lock")
            lock.acquire()
            # what killed runs left: their locks and, if this run is alone, files half written
            for path in self.folder.glob("running/*.lock"):
                if path.stem not in (run, *going_on):
                    path.unlink(missing_ok=True)
            if not going_on:  # on other machines too, whose processes cannot be asked for
                remove_leftovers(self.folder.parent)
        try:
            yield run
        finally:
            self.memo.save()
            lock.release()
            with suppress(OSError):
                Path(lock.lock_file).unlink()

    @contextmanager
    def alone(self) -> Iterator[list[str]]:
        """Keep runs from starting; gives those that are going on."""
        with FileLock(self.folder / "prune.lock"):
            yield [path.stem for path in sorted(self.folder.glob("running/*.lock")) if _is_held(path)]


def _is_held(path: Path) -> bool:
    with suppress(Timeout), FileLock(path, timeout=0):
        return False
    return True


def _next_version(version: str) -> str:
    """Return the version a millisecond later, or the next as text after one that is no time."""
    try:
        later = datetime.strptime(version, f"{VERSION_FORMAT}Z") + timedelta(milliseconds=1)
    except (ValueError, OverflowError):
        return f"{version}~"
    return f"{later.strftime(VERSION_FORMAT)[:-3]}Z"


class RecordsDataset(AbstractDataset[NoReturn, RecordStore | None]):
    """The catalog's entry that says where records lie; loads as a :class:`RecordStore`, remote places as None.

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
        raise DatasetError("records are added through the loaded store")

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self.folder}
