"""What is in a stored artifact: a digest of its bytes, remembered by the file's name, size and times."""

import hashlib
import json
import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import fsspec
from kedro.io import AbstractDataset, AbstractVersionedDataset

log = logging.getLogger(__name__)

# A file younger than this may be written again without its size or times telling.
SETTLED_SECONDS = 2.0


@dataclass(frozen=True)
class Content:
    """An artifact as some node wrote or will write it.

    Attributes:
        version: of Kedro; None: not versioned.
        digest: of its bytes; of one in memory, what it was made of; None: nothing can be said.
        pending: the node that would have to run before anything could be said.
    """

    version: str | None
    digest: str | None
    pending: str | None = None


class Memo:
    """What was costly to find out, with a stamp that says whether it still holds; if it is lost, it is found anew."""

    def __init__(self, path: Path) -> None:
        self._path, self._changed = path, False
        try:
            entries = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            entries = {}
        self._entries: dict[str, list[Any]] = entries if isinstance(entries, dict) else {}

    def recall(self, key: str, stamp: Any, settled: bool, compute: Callable[[], Any]) -> Any:
        """What ``compute`` gave when the stamp was the same; it is kept only of what is settled."""
        entry = self._entries.get(key)
        if isinstance(entry, list) and len(entry) == 2 and entry[0] == stamp:
            return entry[1]
        value = compute()
        if settled:
            self._entries[key], self._changed = [stamp, value], True
        return value

    def save(self) -> None:
        if self._changed:
            write_atomically(self._path, json.dumps(self._entries))
            self._changed = False

    def digest(self, path: str, fs: fsspec.AbstractFileSystem | None = None) -> str | None:
        """SHA-256 of a file, or of all files in a folder with their names; None where there is neither."""
        if fs is not None and "file" not in (fs.protocol, *fs.protocol):
            return self._remote_digest(path, fs)
        if not os.path.isdir(path):
            return self._file_digest(path)
        files = sorted(os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names)
        return _digest_of([[os.path.relpath(file, path), self._file_digest(file)] for file in files])

    def _file_digest(self, path: str) -> str | None:
        try:
            stat = os.stat(path)
            settled = time.time() - max(stat.st_mtime, stat.st_ctime) > SETTLED_SECONDS
            stamp = [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]
            return str(self.recall(os.path.abspath(path), stamp, settled, lambda: _hash_file(path)))
        except OSError:
            return None

    def _remote_digest(self, path: str, fs: fsspec.AbstractFileSystem) -> str | None:
        if not fs.exists(path):
            return None
        digests = []
        for file in sorted(fs.find(path)) or [path]:
            info = fs.info(file)
            stamp = [info.get("size"), *(str(info.get(key)) for key in ("ETag", "LastModified", "mtime", "created"))]
            key, settled = f"{fs.protocol}:{file}", set(stamp[1:]) != {"None"}
            digests.append([file, self.recall(key, stamp, settled, partial(_hash_open, fs, file))])
        return str(digests[0][1]) if len(digests) == 1 else _digest_of(digests)


def _hash_file(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _hash_open(fs: fsspec.AbstractFileSystem, path: str) -> str:
    sha = hashlib.sha256()
    with fs.open(path, "rb") as file:
        while chunk := file.read(2**20):
            sha.update(chunk)
    return sha.hexdigest()


def _digest_of(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def write_atomically(path: Path, text: str) -> None:
    """Beside its place, flushed, then renamed into it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with open(partial, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def is_versioned(dataset: AbstractDataset[Any, Any] | None) -> bool:
    return isinstance(dataset, AbstractVersionedDataset) and dataset._version is not None


def chosen_version(dataset: AbstractDataset[Any, Any] | None) -> str | None:
    """The version that a dataset is told to load, by ``--load-versions`` or by us; None: the newest."""
    version = getattr(dataset, "_version", None)
    return None if version is None else version.load


def path_of(dataset: AbstractDataset[Any, Any], version: str | None) -> str | None:
    """Where an artifact lies; None where it is no file."""
    if isinstance(dataset, AbstractVersionedDataset) and version is not None:
        return str(dataset._get_versioned_path(version))
    path = getattr(dataset, "_filepath", None)
    return None if path is None else str(path)


def content_of(dataset: AbstractDataset[Any, Any], version: str | None, memo: Memo) -> Content:
    """What is stored; its digest is None too where files that a version shares with others are gone."""
    path = path_of(dataset, version)
    if path is None:
        return Content(version, None)
    fs = getattr(dataset, "_fs", None)
    digest = memo.digest(path, fs)
    if digest is not None and hasattr(dataset, "shared_files"):
        exists = fs.exists if fs is not None else os.path.exists
        digest = digest if all(exists(file) for file in dataset.shared_files(path)) else None
    return Content(version, digest)


def versions_of(dataset: AbstractDataset[Any, Any]) -> list[str]:
    """Versions that are stored, newest first."""
    if not isinstance(dataset, AbstractVersionedDataset) or dataset._version is None:
        return []
    return [str(version) for version in dataset.list_versions(full_path=False)]


def store_once(new: str, old: str) -> bool:
    """Let two files of equal content be one on the disk, where the file system can; the copy stays where it cannot."""
    beside = f"{new}.{os.getpid()}.partial"
    try:
        os.makedirs(os.path.dirname(new), exist_ok=True)
        if os.path.exists(new) and os.path.samefile(new, old):
            return True
        os.link(old, beside)
        os.replace(beside, new)
    except OSError as error:
        log.debug("%s stays a copy of %s: %s", new, old, error)
        return False
    return True
