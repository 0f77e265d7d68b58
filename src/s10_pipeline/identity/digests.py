"""Digests (SHA-256) of values, files and folders; those of files are cached by name, size and times."""

import errno
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import fsspec

from .atomic import write_text
from .regular_files import regular_file

LOCAL = fsspec.filesystem("file")

# A larger file gets no digest, because reading terabytes (perhaps of a sparse file) would take hours.
MAX_BYTES = 2**37

# A file changed more recently than this is not cached, because another change may leave its size and times equal.
SETTLED_SECONDS = 2.0


def sha256_of(*parts: Any) -> str:
    """Return the hexadecimal SHA-256 of the concatenated ``parts``, which are bytes or C-contiguous arrays."""
    sha = hashlib.sha256()
    for part in parts:
        sha.update(part)
    return sha.hexdigest()


def digest_of(value: Any) -> str:
    """Return the SHA-256 of a value that JSON can store."""
    return sha256_of(json.dumps(value, sort_keys=True).encode())


class Memo:
    """A persistent cache. Each entry has a stamp; the entry is valid as long as the stamp is the same.

    Args:
        path: JSON file of the cache. If it is lost, values are computed again.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._changed = path, False
        self._entries: dict[str, list[Any]] = {}
        with suppress(OSError, ValueError, TypeError, KeyError):
            stored = json.loads(regular_file(path).read_text(encoding="utf-8"))
            if stored["digest"] == digest_of(stored["entries"]):  # else the file was edited or is damaged: ignore it
                self._entries = stored["entries"]

    def get_or_compute(self, key: str, stamp: Any, compute: Callable[[], Any], settled: bool = True) -> Any:
        """Return the cached value of ``key`` if it has this stamp, else compute it and, if ``settled``, cache it."""
        known = self._entries.get(key)
        if known and known[0] == stamp:
            return known[1]
        value = compute()
        if settled:
            self._entries[key], self._changed = [stamp, value], True
        return value

    def save(self) -> None:
        with suppress(OSError):  # the disk may be full
            if self._changed:
                write_text(self._path, json.dumps({"digest": digest_of(self._entries), "entries": self._entries}))

    def digest(self, path: str, fs: fsspec.AbstractFileSystem = LOCAL) -> str | None:
        """Return the SHA-256 of a file, or of names and contents of all files in a folder; links are followed.

        None if the path does not exist, or if something cannot be read (a device, a FIFO, a loop of links).
        """
        top = fs._strip_protocol(path)
        try:
            found = dict(_local_files(top)) if "file" in fs.protocol else fs.find(top, detail=True)
            files = [item for item in sorted(found.items()) if "/__pycache__/" not in item[0]]
            digests = {
                name.removeprefix(top): info.get("digest") or self._file_digest(info, fs) for name, info in files
            }
        except OSError:
            return None
        return digests.get("") or (digest_of([*digests.items()]) if digests else None)

    def _file_digest(self, info: dict[str, Any], fs: fsspec.AbstractFileSystem) -> str:
        times = [info.get("mtime"), info.get("created")]
        # remote file systems report changes in other ways, so their files are read again each time
        settled = all(isinstance(t, float) and time.time() - t > SETTLED_SECONDS for t in times)
        stamp = [info["size"], *times]
        return str(self.get_or_compute(info["name"], stamp, lambda: hash_file(info["name"], fs), settled))


def _local_files(path: str, above: tuple[str, ...] = ()) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield name and status of each file at or below a path, in the form of fsspec's ``find``; links are followed."""
    if os.path.isdir(path):
        if (real := os.path.realpath(path)) in above:
            raise OSError(errno.ELOOP, "a link to a folder above", path)
        for name in sorted(os.listdir(path)):
            yield from _local_files(os.path.join(path, name), (*above, real))
    elif os.path.islink(path) and not os.path.exists(path):
        yield path, {"digest": digest_of(["link", os.readlink(path)])}
    else:
        facts = os.stat(regular_file(path))
        yield path, {"name": path, "size": facts.st_size, "mtime": facts.st_mtime, "created": facts.st_ctime}


def hash_file(path: str, fs: fsspec.AbstractFileSystem = LOCAL) -> str:
    """Return the SHA-256 of a file's content, read in chunks."""
    with fs.open(regular_file(path, MAX_BYTES) if fs is LOCAL else path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
