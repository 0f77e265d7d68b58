"""Transfer part of a file over HTTP(S), starting at a given byte."""

import http.client
import re
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import Future

from ...errors import one_line

CHUNK_BYTES = 64 * 1024
# A slower transfer is given up; at this rate CIFAR-10 would take five hours.
MIN_BYTES_PER_SECOND = 10_000


class AddressFailed(Exception):
    """Raised if a URL does not serve the wanted file; ``offline`` says if its server could not be reached at all."""

    def __init__(self, reason: str, offline: bool = False) -> None:
        super().__init__(reason)
        self.offline = offline


class BrokeOff(AddressFailed):
    """The connection broke off, stalled or could not be made; another attempt may succeed."""


def open_from(url: str, start: int, num_bytes: int, timeout_seconds: float) -> tuple[http.client.HTTPResponse, int]:
    """Request a file of ``num_bytes`` bytes from a URL, without the first ``start`` bytes.

    Returns:
        (response, position of the body's first byte), which is 0 if the server ignores ranges and sends everything.

    Raises:
        AddressFailed: the URL serves something else, or an error that is not temporary.
        BrokeOff: no response, or a temporary error.
    """
    headers = {"User-Agent": "s10-pipeline", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    # allow any URL scheme (a mirror may be file:///...), because the checksum is verified before the file is used
    try:
        request = urllib.request.Request(url, headers=headers)  # noqa: S310
        response = _open_in_time(request, timeout_seconds)
    except urllib.error.HTTPError as error:
        error.close()
        passing = error.code >= 500 or error.code in (408, 429)
        raise (BrokeOff if passing else AddressFailed)(f"HTTP {error.code} {error.reason}") from error
    except urllib.error.URLError as error:
        cause = error.reason
        offline = isinstance(cause, OSError) and not isinstance(cause, ssl.SSLError)
        raise (BrokeOff if offline else AddressFailed)(_reason(error), offline) from error
    except (OSError, http.client.RemoteDisconnected) as error:
        raise BrokeOff(_reason(error)) from error
    except (ValueError, http.client.HTTPException) as error:
        # the address is no URL, or its server does not speak HTTP, so another attempt cannot succeed
        raise AddressFailed(_reason(error)) from error
    problem = _wrong_file(response, start, num_bytes)
    if problem:
        response.close()
        raise AddressFailed(problem)
    return response, start if response.status == 206 else 0


def _open_in_time(request: urllib.request.Request, seconds: float) -> http.client.HTTPResponse:
    """Send an HTTP request and return the response; raise TimeoutError if this takes more than ``seconds`` in total.

    A socket's own timeout restarts with each byte and does not cover name resolution, so the request runs in another
    thread. This thread stays interruptible by Ctrl-C.
    """
    outcome: Future[http.client.HTTPResponse] = Future()

    def work() -> None:
        try:
            outcome.set_result(urllib.request.urlopen(request, timeout=seconds))  # noqa: S310
        except BaseException as error:
            outcome.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    return outcome.result(seconds)


def read_chunks(response: http.client.HTTPResponse, num_bytes: int, timeout_seconds: float) -> Iterator[bytes]:
    """Yield the body of an HTTP response in chunks, at most ``num_bytes`` in total, or fewer if the server stops early.

    Raises:
        BrokeOff: the connection failed, or a period of ``timeout_seconds`` was slower than ``MIN_BYTES_PER_SECOND``.
    """
    began, arrived = time.monotonic(), 0
    while num_bytes > 0:
        try:
            chunk = response.read1(min(CHUNK_BYTES, num_bytes))
        except (OSError, http.client.HTTPException) as error:
            raise BrokeOff(_reason(error)) from error
        if not chunk:
            return
        num_bytes, arrived = num_bytes - len(chunk), arrived + len(chunk)
        yield chunk
        if (seconds := time.monotonic() - began) > timeout_seconds:
            if arrived < MIN_BYTES_PER_SECOND * seconds:
                raise BrokeOff(f"slower than {MIN_BYTES_PER_SECOND:,} bytes per second")
            began, arrived = time.monotonic(), 0


def _wrong_file(response: http.client.HTTPResponse, start: int, num_bytes: int) -> str | None:
    """Return why the headers of an HTTP response do not fit the wanted file, or None if they fit.

    Without this check, a log-in page could overwrite the data that arrived before.
    """
    if response.headers.get_content_type() == "text/html":
        return "serves a web page"
    if response.status == 206:
        content_range = response.headers.get("Content-Range", "")
        served = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", content_range)
        if not served or int(served[1]) != start or served[2] not in ("*", str(num_bytes)):
            return f"serves another range ({content_range})"
        return None
    length = response.headers.get("Content-Length", str(num_bytes))
    return None if length == str(num_bytes) else f"serves {length} bytes, not {num_bytes}"


def _reason(error: Exception) -> str:
    """Return the reason of a failed connection in one short line."""
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    return "stalled" if isinstance(cause, TimeoutError) else one_line(cause)
