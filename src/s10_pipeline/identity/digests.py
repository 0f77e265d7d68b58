"""Digests of values, files and folders; costly ones are remembered by name, size and times."""

import hashlib
import json
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import fsspec

from .atomic import write_text
from .regular_files import regular_file

LOCAL = fsspec.filesystem("file")

# A larger file has no digest: the terabytes of a sparse one would be read for hours.
MAX_BYTES = 2**37

# A file younger than this may be written again without its size or times telling.
SETTLED_SECONDS = 2.0


def digest_of(value: Any) -> str:
    """Return the SHA-256 of a JSON-able value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


class Memo:
    """Costly answers, each with a stamp that says whether it still holds; if the memo is lost, they are computed anew.

    Args:
        path: the JSON file that keeps them.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._changed = path, False
        self._entries: dict[str, list[Any]] = {}
        with suppress(OSError, ValueError, TypeError):
            self._entries = dict(json.loads(regular_file(path).read_text(encoding="utf-8")))

    def get_or_compute(self, key: str, stamp: Any, compute: Callable[[], Any], settled: bool = True) -> Any:
        """Return what ``compute`` gave when the stamp was the same; a new answer is kept only if it is settled."""
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
                write_text(self._path, json.dumps(self._entries))

    def digest(self, path: str, fs: fsspec.AbstractFileSystem = LOCAL) -> str | None:
        """Return the SHA-256 of a file, or of all files in a folder with their names; None where there is neither."""
        top = fs._strip_protocol(path)
        try:
            files = [item for item in sorted(fs.find(path, detail=True).items()) if "/__pycache__/" not in item[0]]
            digests = {name.removeprefix(top): self._file_digest(info, fs) for name, info in files}
        except OSError:
            return None
        if "" in digests:
            return digests[""]
        return digest_of([*digests.items()]) if digests else None

    def _file_digest(self, info: dict[str, Any], fs: fsspec.AbstractFileSystem) -> str | None:
        if info["type"] == "other":
            return None  # a pipe, socket or device: there is no content
        times = [info.get("mtime"), info.get("created")]
        # remote files have other signs of a change, each system its own: they are read again
        settled = all(isinstance(t, float) and time.time() - t > SETTLED_SECONDS for t in times)
        stamp = [info["size"], *times]
        return str(self.get_or_compute(info["name"], stamp, lambda: _hash_file(info["name"], fs), settled))


def _hash_file(path: str, fs: fsspec.AbstractFileSystem) -> str:
    with fs.open(regular_file(path, MAX_BYTES) if fs is LOCAL else path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
