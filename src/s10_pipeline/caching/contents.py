"""What is in a stored artifact: a digest of its bytes, remembered by the file's name, size and times."""

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import fsspec
from kedro.io import AbstractVersionedDataset

LOCAL = fsspec.filesystem("file")

# A file younger than this may be written again without its size or times telling.
SETTLED_SECONDS = 2.0

PENDING = "(to be made)"  # the digest of what a node would have to make first


class Content(NamedTuple):
    """An artifact as some node wrote or will write it.

    The digest is of its bytes; of one in memory, of what it is made of; None where nothing can be said. What is not
    versioned has None for a version.
    """

    version: str | None
    digest: str | None


class Memo:
    """What was costly to find out, with a stamp that says whether it still holds; if it is lost, it is found anew."""

    def __init__(self, path: Path) -> None:
        self._path, self._changed = path, False
        self._entries: dict[str, list[Any]] = {}
        with suppress(OSError, ValueError, TypeError):
            self._entries = dict(json.loads(path.read_text(encoding="utf-8")))

    def recall(self, key: str, stamp: Any, compute: Callable[[], Any], settled: bool = True) -> Any:
        """What ``compute`` gave when the stamp was the same; it is kept only of what is settled."""
        known = self._entries.get(key)
        if known and known[0] == stamp:
            return known[1]
        value = compute()
        if settled:
            self._entries[key], self._changed = [stamp, value], True
        return value

    def save(self) -> None:
        with suppress(OSError):  # a full disk
            if self._changed:
                write_atomically(self._path, json.dumps(self._entries))

    def digest(self, path: str, fs: fsspec.AbstractFileSystem = LOCAL) -> str | None:
        """SHA-256 of a file, or of all files in a folder with their names; None where there is neither."""
        top = fs._strip_protocol(path)
        try:
            files = [item for item in sorted(fs.find(path, detail=True).items()) if "/__pycache__/" not in item[0]]
            digests = {name.removeprefix(top): self._file_digest(info, fs) for name, info in files}
        except OSError:
            return None
        return digests.get("") or (digest_of([*digests.items()]) if digests else None)

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


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A place beside a file, for what takes the file's own place once it is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def write_atomically(path: Path, text: str) -> None:
    with _replacing(path) as partial, open(partial, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def is_versioned(dataset: Any) -> bool:
    return isinstance(dataset, AbstractVersionedDataset) and dataset._version is not None


def versions_of(dataset: Any) -> list[str]:
    """Versions that are stored, newest first."""
    return list(map(str, dataset.list_versions(full_path=False))) if is_versioned(dataset) else []


def path_of(dataset: Any, version: str | None) -> str | None:
    """Where an artifact lies; None where it is no file."""
    has_versions = version is not None and isinstance(dataset, AbstractVersionedDataset)
    path = dataset._get_versioned_path(version) if has_versions else getattr(dataset, "_filepath", None)
    return None if path is None else str(path)


def content_of(dataset: Any, version: str | None, memo: Memo) -> Content:
    """What is stored; its digest is None too where files that a version shares with others are gone."""
    path, fs = path_of(dataset, version), getattr(dataset, "_fs", LOCAL)
    digest = memo.digest(path, fs) if path else None
    shared = dataset.shared_files(path) if digest and hasattr(dataset, "shared_files") else ()
    return Content(version, digest if all(map(fs.exists, shared)) else None)


def link_version(dataset: Any, old: str, new: str) -> bool:
    """Let a version be the same file on the disk as an older one, if the file system can; else it stays as it is."""
    if getattr(dataset, "_protocol", "file") != "file":
        return False
    try:
        with _replacing(Path(str(path_of(dataset, new)))) as partial:
            os.link(str(path_of(dataset, old)), partial)
    except OSError:
        return False
    return True
