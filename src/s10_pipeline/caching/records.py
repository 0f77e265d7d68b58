"""What made each output version: a small JSON file for every node that finished."""

import hashlib
import json
import logging
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

from filelock import FileLock, Timeout
from kedro.io import AbstractDataset, DatasetError

from .contents import Memo, write_atomically

log = logging.getLogger(__name__)

Parts = dict[str, dict[str, Any]]


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

    node: str
    run: str
    fingerprint: str
    parts: Parts
    inputs: dict[str, str | None]
    outputs: dict[str, dict[str, str | None]]
    about: dict[str, Any] = field(default_factory=dict)
    same_as: str | None = None


class RecordStore:
    """A folder with one folder a node, one file a run in it.

    Any number of processes may read and write: files are whole when they appear and never change.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.memo = Memo(folder / "memo.json")
        self._read: dict[Path, Record | None] = {}

    def of(self, node: str) -> list[Record]:
        """A node's records, newest first."""
        paths = sorted(self._folder_of(node).glob("*.json"), reverse=True)
        return [record for path in paths if (record := self._load(path)) and record.node == node]

    def all(self) -> list[Record]:
        """Every record, newest first."""
        records = [record for path in self.folder.glob("nodes/*/*.json") if (record := self._load(path))]
        return sorted(records, key=lambda record: record.run, reverse=True)

    def add(self, record: Record, pieces: dict[str, str]) -> None:
        """Keep a record, and of its code what was reached, once for all records of the same code."""
        code = self._code_file(record)
        if not code.exists():
            write_atomically(code, json.dumps(pieces, indent=0, sort_keys=True))
        write_atomically(self.path_of(record), json.dumps(asdict(record), indent=1))

    def take_over(self, record: Record, run: str) -> Record:
        """Note that a run's versions are those of an earlier record."""
        outputs = {n: {**o, "version": run} if o["version"] else o for n, o in record.outputs.items()}
        later = replace(record, run=run, outputs=outputs, same_as=record.same_as or record.run)
        write_atomically(self.path_of(later), json.dumps(asdict(later), indent=1))
        return later

    def pieces(self, record: Record) -> dict[str, str] | None:
        """Name -> digest of the code that a record's node reached."""
        try:
            pieces = json.loads(self._code_file(record).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return pieces if isinstance(pieces, dict) else None

    def code_only_of(self, records: list[Record]) -> list[Path]:
        """Files of pieces that no other record needs."""
        others = {self._code_file(record) for record in self.all() if record not in records}
        return sorted({self._code_file(record) for record in records} - others)

    def path_of(self, record: Record) -> Path:
        return self._folder_of(record.node) / f"{record.run}.json"

    def _code_file(self, record: Record) -> Path:
        return self.folder / "code" / f"{record.parts['code'].get('digest')}.json"

    def _folder_of(self, node: str) -> Path:
        # names that Kedro makes up hold brackets and arrows
        plain = re.sub(r"\W+", "_", node)[:60]
        return self.folder / "nodes" / (plain if plain == node else f"{plain}-{_short_digest(node)}")

    def _load(self, path: Path) -> Record | None:
        if path not in self._read:
            try:
                record = Record(**json.loads(path.read_text(encoding="utf-8")))
                assert all(isinstance(group, dict) for group in [*record.parts.values(), *record.outputs.values()])
                assert {"code", "inputs"} <= set(record.parts) and isinstance(record.fingerprint, str)
                self._read[path] = record
            except (OSError, ValueError, TypeError, AttributeError, AssertionError) as error:
                log.warning("record %s cannot be read (%s) and is passed over", path, type(error).__name__)
                self._read[path] = None
        return self._read[path]

    def first_time(self, mark: str) -> bool:
        """Whether this is asked for the first time in this folder."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / f"{mark}.mark").touch(exist_ok=False)
        except OSError:
            return False
        return True

    @contextmanager
    def running(self, run: str) -> Iterator[None]:
        """Be seen by others as a run that is going on; waits for a pruning to end. The lock dies with its process."""
        folder = self.folder / "running"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(folder / f"{run}.lock")
            with FileLock(self.folder / "prune.lock"):
                lock.acquire()
        except OSError as error:  # a full or read-only disk
            log.warning("%s: cannot be written (%s); nothing will be recorded", folder, error)
            yield
            return
        try:
            yield
        finally:
            lock.release()
            Path(lock.lock_file).unlink(missing_ok=True)

    @contextmanager
    def alone(self) -> Iterator[list[str]]:
        """Keep runs from starting; gives those that are going on."""
        with FileLock(self.folder / "prune.lock"):
            going_on = []
            for path in sorted((self.folder / "running").glob("*.lock")):
                try:
                    with FileLock(path, timeout=0):
                        pass
                    path.unlink(missing_ok=True)
                except Timeout:
                    going_on.append(path.stem)
            yield going_on


def keep(write: Callable[[], object]) -> None:
    """A record that cannot be written (a full disk) costs a rerun some day, never the results of this run."""
    try:
        write()
    except OSError as error:
        log.warning("not recorded (%s); the stage will run again", error)


def _short_digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


class RecordsDataset(AbstractDataset[NoReturn, "RecordStore | None"]):
    """The catalog's entry that says where records lie; loads as a :class:`RecordStore`, remote places as None.

    Examples:
        .. code-block:: yaml

            records:
              type: s10_pipeline.caching.records.RecordsDataset
              filepath: data/.records
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath, self.metadata = filepath, metadata

    def load(self) -> "RecordStore | None":
        return None if "://" in self._filepath else RecordStore(Path(os.path.abspath(self._filepath)))

    def save(self, data: NoReturn) -> NoReturn:
        raise DatasetError("records are added through the loaded store")

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath}
