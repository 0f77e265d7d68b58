"""Download of one file whose size and MD5 are known: resumed, retried, from several addresses, never half-done."""

import hashlib
import logging
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path
from urllib.parse import urlsplit

from filelock import FileLock, Timeout

from ...progress import Bar, progress_bar
from .transfer import MIN_BYTES_PER_SECOND, AddressFailed, BrokeOff, open_from, read_chunks

# Longest silence of a server, and longest wait for the beginning of its answer.
TIMEOUT_SECONDS = 30.0
# So many attempts in a row may bring nothing new, or less than 10 kB per second, before an address is given up.
ATTEMPTS = 4
# Before the second attempt; doubled before each further one that follows a fruitless one.
PAUSE_SECONDS = 1.0

_log = logging.getLogger(__name__)


class DownloadError(AddressFailed):
    """No address gave the file; ``str()`` is one line with a reason for each. ``offline``: none could be reached."""


def md5_of(file: BufferedReader) -> str:
    """Hexadecimal MD5 from the file's position to its end."""
    return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def download(urls: Sequence[str], target: Path, md5: str, num_bytes: int) -> None:
    """Fetch ``target`` from the first address that has it. It appears under its name only when its MD5 is right.

    What has arrived stays in ``<target>.part``, from where the next attempt, address or run goes on (HTTP Range; a
    server that ignores it starts afresh). Of two runs at once, the second waits for the first.

    Args:
        urls: addresses of the same file, in the order in which they are tried.
        target: final name; its folder is made.
        md5: hexadecimal.
        num_bytes: size of the file.

    Raises:
        DownloadError: no address gave the file.
        OSError: the file cannot be written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    reasons, offline = [], True
    with _one_run_at_a_time(target), progress_bar(target.name, num_bytes // 1000, "kB") as bar:
        if target.is_file():  # the other run has it
            return
        for url in urls:
            name = urlsplit(url).hostname or url  # not the whole address: it may hold a password
            _log.info("downloading %s from %s", target.name, name)
            try:
                # bytes of another address or run may be to blame for a wrong checksum: then a second chance
                for _ in range(2 if _size(part) else 1):
                    _fetch(url, part, num_bytes, bar)
                    with part.open("rb") as file:
                        right = md5_of(file) == md5
                    if right:
                        os.replace(part, target)
                        return
                    part.unlink()
                raise AddressFailed("what it serves has a wrong checksum")
            except AddressFailed as error:
                _log.warning("%s: %s", name, error)
                reasons.append(f"{name}: {error}")
                offline = offline and error.offline
    raise DownloadError("; ".join(reasons), offline)


def _fetch(url: str, part: Path, num_bytes: int, bar: Bar) -> None:
    """Let ``part`` grow to ``num_bytes``; raises AddressFailed."""
    if _size(part) > num_bytes:
        part.unlink()
    most_bytes = _size(part)
    fruitless, reached = 0, False
    while _size(part) < num_bytes:
        reason, offline, began = "broke off", False, time.monotonic()
        try:
            response, start = open_from(url, _size(part), num_bytes, TIMEOUT_SECONDS)
            reached = True
            with response, part.open("r+b" if part.exists() else "wb") as file:
                file.truncate(start)
                file.seek(start)
                for chunk in read_chunks(response, num_bytes - start, TIMEOUT_SECONDS):
                    file.write(chunk)
                    bar.show(file.tell() // 1000, part.stem, "")
                file.flush()
                os.fsync(file.fileno())
        except BrokeOff as error:
            reason, offline = str(error), error.offline
        size = _size(part)
        enough = size - most_bytes > MIN_BYTES_PER_SECOND * (time.monotonic() - began)
        fruitless = 0 if enough else fruitless + 1
        most_bytes = max(most_bytes, size)
        if size < num_bytes:
            # one try is enough to see that a machine is offline, unless it was online a moment ago
            if fruitless == ATTEMPTS or (offline and not reached):
                raise AddressFailed(reason + (f" at {size:,} of {num_bytes:,} bytes" if size else ""), offline)
            _log.info("%s: %s at %s bytes, trying again", part.name, reason, f"{size:,}")
            time.sleep(PAUSE_SECONDS * 2**fruitless)


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


@contextmanager
def _one_run_at_a_time(target: Path) -> Iterator[None]:
    """The lock is the operating system's: a run that is killed leaves a file, but no lock."""
    lock = FileLock(target.with_name(target.name + ".lock"))
    try:
        held = lock.acquire(timeout=0)
    except Timeout:
        _log.info("another run is downloading %s, waiting for it", target.name)
        held = lock.acquire()
    with held:
        yield
    # whoever waits holds the old lock, whoever comes finds the target: nobody needs the file
    with suppress(OSError):
        os.unlink(lock.lock_file)
