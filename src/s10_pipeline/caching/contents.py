"""What is in a stored artifact: a digest of its bytes, remembered by the file's name, size and times."""

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import fsspec
from kedro.io import AbstractDataset, AbstractVersionedDataset

Dataset = AbstractDataset[Any, Any]

LOCAL = fsspec.filesystem("file")

# A file younger than this may be written again without its size or times telling.
SETTLED_SECONDS = 2.0


PENDING = "(to be made)"  # the digest of what a node would have to make first


class Content(NamedTuple):
    """An artifact as some node wrote or will write it.

    Attributes:
        version: of Kedro; None: not versioned.
        digest: of its bytes; of one in memory, what it was made of; None: nothing can be said.
    """

    version: str | None
    digest: str | None


class Memo:
    """What was costly to find out, with a stamp that says whether it still holds; if it is lost, it is found anew."""

    def __init__(self, path: Path) -> None:
        self._path, self._changed = path, False
        try:
            entries = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            entries = {}
        self._entries: dict[str, list[Any]] = entries if isinstance(entries, dict) else {}

    def recall(self, key: str, stamp: Any, compute: Callable[[], Any], settled: bool = True) -> Any:
        """What ``compute`` gave when the stamp was the same; it is kept only of what is settled."""
        entry = self._entries.get(key)
        if isinstance(entry, list) and len(entry) == 2 and entry[0] == stamp:
            return entry[1]
        value = compute()
        if settled:
            self._entries[key], self._changed = [stamp, value], True
        return value

    def save(self) -> None:
        with contextlib.suppress(OSError):  # a full disk
            if self._changed:
                write_atomically(self._path, json.dumps(self._entries))

    def digest(self, path: str, fs: fsspec.AbstractFileSystem = LOCAL) -> str | None:
        """SHA-256 of a file, or of all files in a folder with their names; None where there is neither."""
        try:
            files = fs.find(path, detail=True)
            named = sorted((name, info) for name, info in files.items() if "/__pycache__/" not in name)
            digests = {name: self._file_digest(info, fs) for name, info in named}
        except OSError:
            return None
        if len(digests) == 1 and not fs.isdir(path):
            return digests.popitem()[1]
        start = len(fs._strip_protocol(path))
        return digest_of([[name[start:], digest] for name, digest in digests.items()]) if digests else None

    def _file_digest(self, info: dict[str, Any], fs: fsspec.AbstractFileSystem) -> str:
        times = [info.get("mtime"), info.get("created")]
        # remote files have other signs of a change, each system its own: they are read again
        settled = all(isinstance(t, float) and time.time() - t > SETTLED_SECONDS for t in times)
        return str(self.recall(info["name"], [info["size"], *times], lambda: _hash_file(info["name"], fs), settled))


def _hash_file(path: str, fs: fsspec.AbstractFileSystem) -> str:
    with fs.open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of(value: Any) -> str:
    """SHA-256 of something JSON-able."""
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


def is_versioned(dataset: Dataset | None) -> bool:
    return isinstance(dataset, AbstractVersionedDataset) and dataset._version is not None


def chosen_version(dataset: Dataset | None) -> str | None:
    """The version that a dataset is told to load, by ``--load-versions`` or by us; None: the newest."""
    version = getattr(dataset, "_version", None)
    return None if version is None else version.load


def versions_of(dataset: Any) -> list[str]:
    """Versions that are stored, newest first."""
    return list(map(str, dataset.list_versions(full_path=False))) if is_versioned(dataset) else []


def path_of(dataset: Dataset, version: str | None) -> str | None:
    """Where an artifact lies; None where it is no file."""
    if isinstance(dataset, AbstractVersionedDataset) and version is not None:
        return str(dataset._get_versioned_path(version))
    path = getattr(dataset, "_filepath", None)
    return None if path is None else str(path)


def content_of(dataset: Dataset, version: str | None, memo: Memo) -> Content:
    """What is stored; its digest is None too where files that a version shares with others are gone."""
    path, fs = path_of(dataset, version), getattr(dataset, "_fs", LOCAL)
    digest = None if path is None else memo.digest(path, fs)
    if digest is not None and hasattr(dataset, "shared_files"):
        digest = digest if all(fs.exists(file) for file in dataset.shared_files(path)) else None
    return Content(version, digest)


def link_version(dataset: Dataset, old: str, new: str) -> bool:
    """Let a version be the same file on the disk as an older one, if the file system can; else it stays as it is."""
    if getattr(dataset, "_protocol", "file") != "file":
        return False
    source, target = str(path_of(dataset, old)), str(path_of(dataset, new))
    beside = f"{target}.{os.getpid()}.partial"
    try:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.link(source, beside)
        os.replace(beside, target)
    except OSError:
        return False
    return True
