"""One transfer of a file over HTTP(S), from a given byte on."""

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
# CIFAR-10 at this rate would take five hours; an address that is slower is not waited for.
MIN_BYTES_PER_SECOND = 10_000


class AddressFailed(Exception):
    """The address will not give the file. ``offline``: it was not even reached."""

    def __init__(self, reason: str, offline: bool = False) -> None:
        super().__init__(reason)
        self.offline = offline


class BrokeOff(AddressFailed):
    """The connection broke off, stalled or was not made: another attempt may go better."""


def open_from(url: str, start: int, num_bytes: int, timeout_seconds: float) -> tuple[http.client.HTTPResponse, int]:
    """Ask for the bytes from ``start`` on, of a file of ``num_bytes``.

    Returns:
        (response, first byte of its body): 0 from a server that ignores ranges and sends everything.

    Raises:
        AddressFailed: what is there is not the file.
        BrokeOff: no answer, or one that asks to come again.
    """
    headers = {"User-Agent": "s10-pipeline", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    try:
        # any scheme will do (a mirror may be file:///...): nothing that arrives is opened before its checksum matched
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
    except (ValueError, http.client.HTTPException) as error:  # no URL at all, or not a web server
        raise AddressFailed(_reason(error)) from error
    problem = _wrong_file(response, start, num_bytes)
    if problem:
        response.close()
        raise AddressFailed(problem)
    return response, start if response.status == 206 else 0


def _open_in_time(request: urllib.request.Request, seconds: float) -> http.client.HTTPResponse:
    """Return the response, or raise TimeoutError: a socket's own timeout begins anew with each byte, and a name is
    looked up without any. In another thread, so that Ctrl-C is heard.
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
    """The body as it arrives, at most ``num_bytes``; raises BrokeOff, or ends early where the server does.

    Each stretch of ``timeout_seconds`` has to bring ``MIN_BYTES_PER_SECOND``, so an attempt has an end.
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
    """Why, by its headers, this cannot be the file: so that no log-in page replaces what arrived before."""
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
    """One short line."""
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    return "stalled" if isinstance(cause, TimeoutError) else one_line(cause)
