"""Download a file of known size and MD5: from several URLs, with retries, resuming after interruptions."""

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

# Longest time without data from a server, and longest wait for its response to begin.
TIMEOUT_SECONDS = 30.0
# Number of successive download attempts without progress (or slower than MIN_BYTES_PER_SECOND) after which a URL is
# given up.
ATTEMPTS = 4
# Seconds before the next download attempt from the same URL, doubled after each attempt without progress.
PAUSE_SECONDS = 1.0

_log = logging.getLogger(__name__)


class DownloadError(AddressFailed):
    """Raised if no URL serves the file; the message has a reason per URL, ``offline`` says if none could be reached."""


def md5_of(file: BufferedReader) -> str:
    """Return the hexadecimal MD5 of the file from its current position to its end."""
    return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def download(urls: Sequence[str], target: Path, md5: str, num_bytes: int) -> None:
    """Download ``target`` from the first URL that serves it; ``target`` exists only once its MD5 was verified.

    Partial data stays in ``<target>.part``, and the next attempt, URL or run resumes from there (HTTP Range; a
    server without ranges starts from the beginning). If two runs download at once, the second waits for the first.

    Args:
        urls: URLs of the same file, in the order in which they are tried.
        target: path of the file; its folder is created.
        md5: expected MD5, hexadecimal.
        num_bytes: size of the file.

    Raises:
        DownloadError: no URL served the file.
        OSError: the file cannot be written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    reasons, offline = [], True
    with _one_run_at_a_time(target), progress_bar(target.name, num_bytes // 1000, "kB") as bar:
        if target.is_file():
            # another run downloaded the file while this run waited for the lock, so there is nothing left to do
            return
        for url in urls:
            # messages name only the host, because the URL may contain a password
            name = urlsplit(url).hostname or url
            _log.info("downloading %s from %s", target.name, name)
            try:
                # resumed data may be from another URL or run; if its MD5 is wrong, download once more from scratch
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
    """Download from one URL into the file ``part``, with retries, until the file has ``num_bytes``.

    Raises:
        AddressFailed: the URL serves another file, is offline, or too many attempts brought no progress.
    """
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
            # if the URL was never reachable, give it up at once, because the machine is probably offline
            if fruitless == ATTEMPTS or (offline and not reached):
                raise AddressFailed(reason + (f" at {size:,} of {num_bytes:,} bytes" if size else ""), offline)
            _log.info("download into %s interrupted (%s) at %s bytes, trying again", part.name, reason, f"{size:,}")
            time.sleep(PAUSE_SECONDS * 2**fruitless)


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


@contextmanager
def _one_run_at_a_time(target: Path) -> Iterator[None]:
    """Hold a lock on the download of ``target`` while in the context; other runs wait for it.

    The operating system releases the lock if this run is killed.
    """
    lock = FileLock(target.with_name(target.name + ".lock"))
    try:
        held = lock.acquire(timeout=0)
    except Timeout:
        _log.info("another run is downloading %s, waiting for it", target.name)
        held = lock.acquire()
    with held:
        yield
    # delete the lock file, which nobody needs any more: a waiting run has it open already, and a later run finds the
    # downloaded file
    with suppress(OSError):
        os.unlink(lock.lock_file)
