"""SHA-256 digests of values, files and folders. A file's digest is cached until its size or a time stamp changes."""

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

# Size limit in bytes (128 GiB) of files that are hashed. Reading a larger file, perhaps a sparse one, could take hours.
MAX_BYTES = 2**37

# The digest of a file that changed within this many seconds is not cached. Another change in the same tick of the file
# system's clock would leave size and times equal, so a cached digest could be wrong.
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
    """Cache of computed values in a JSON file. A value is valid while its stamp, such as a file's size, is unchanged.

    Args:
        path: JSON file of the cache. If it is lost, values are computed again.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._changed = path, False
        self._entries: dict[str, list[Any]] = {}
        with suppress(OSError, ValueError, TypeError, KeyError):
            stored = json.loads(regular_file(path).read_text(encoding="utf-8"))
            # Ignore the cache file if its digest does not match, because then it was edited or is damaged.
            if stored["digest"] == digest_of(stored["entries"]):
                self._entries = stored["entries"]

    def get_or_compute(self, key: str, stamp: Any, compute: Callable[[], Any], settled: bool = True) -> Any:
        """Return the cached value of ``key``; compute the value if nothing is cached or the stamp has changed.

        Args:
            stamp: JSON value that changes whenever the value of ``key`` may change, such as a file's size and times.
            settled: whether to cache a computed value. False if the stamp may not show the next change.
        """
        known = self._entries.get(key)
        if known and known[0] == stamp:
            return known[1]
        value = compute()
        if settled:
            self._entries[key], self._changed = [stamp, value], True
        return value

    def save(self) -> None:
        with suppress(OSError):  # Go on without a saved cache if the disk is full.
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
        # Cache digests of local files only, whose times are numbers. Files on remote storage are read and hashed each
        # time.
        settled = all(isinstance(t, float) and time.time() - t > SETTLED_SECONDS for t in times)
        stamp = [info["size"], *times]
        return str(self.get_or_compute(info["name"], stamp, lambda: hash_file(info["name"], fs), settled))


def _local_files(path: str, above: tuple[str, ...] = ()) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield path and metadata of each file at or below a path, in the format of fsspec's ``find``; follow links."""
    if os.path.isdir(path):
        if (real := os.path.realpath(path)) in above:
            raise OSError(errno.ELOOP, "symbolic link to a folder that contains it", path)
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
