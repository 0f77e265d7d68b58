"""Write files atomically, so that readers never see an incomplete file."""

import fnmatch
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path to write to; at the end, flush that file to disk and rename it to ``path``.

    The temporary file is hidden, in the same folder, and of this call alone, so that several processes and threads may
    write ``path`` at once. A reader sees the old file or the new one, never a part of it. A killed process leaves at
    most a ``.partial`` file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.{os.getpid()}.partial")
    try:
        yield partial
        with open(partial, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def remove_leftovers(folder: Path, apart: str) -> None:
    """Remove incomplete files that killed processes of this machine left in ``folder`` and its sub-folders.

    Args:
        apart: name of a file or folder; sub-folders that contain it are left alone, with all that they contain.
    """
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not Path(place, name, apart).exists()]
        for name in fnmatch.filter(files, ".*.partial"):
            pid = name.split(".")[-2]
            if pid.isdecimal() and (int(pid) == os.getpid() or not _is_alive(int(pid))):
                Path(place, name).unlink(missing_ok=True)


def _is_alive(pid: int) -> bool:
    # On Windows, os.kill(pid, 0) would send Ctrl+C, so every process there counts as alive.
    if os.name == "posix":
        try:
            os.kill(pid, 0)
        except (ProcessLookupError, OverflowError):
            return False
        except OSError:
            return True
    return True


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")
