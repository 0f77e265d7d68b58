import contextlib
import hashlib
import random
import signal
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from unittest.mock import Mock

import pytest

from s10_pipeline.vision.data.sources import download as download_module
from s10_pipeline.vision.data.sources.download import DownloadError, download

CONTENT = random.Random(0).randbytes(256_000)  # without a period, so that misplaced bytes show
MD5 = hashlib.md5(CONTENT).hexdigest()
HALF = len(CONTENT) // 2


def arrived(breaks: int) -> int:
    """Bytes that are there after a number of transfers that each broke off halfway."""
    return 0 if breaks == 0 else arrived(breaks - 1) + (len(CONTENT) - arrived(breaks - 1)) // 2


class Handler(BaseHTTPRequestHandler):
    """Answers the n-th request as the n-th word of ``server.script`` says, the last word for all further ones."""

    def do_GET(self):
        server = self.server
        word = server.script[min(len(server.ranges), len(server.script) - 1)]
        server.ranges.append(self.headers.get("Range"))
        if word.isdigit():
            return self.send_error(int(word))
        if word == "trickled headers":
            return self.send_slowly(b"HTTP/1.1 200 OK\r\n" + b"X-Slow: 1\r\n" * 1000)
        other = {"wrong bytes": CONTENT[::-1], "web page": b"<html>log in</html>", "other size": CONTENT + b"x"}
        content = other.get(word, CONTENT)
        asked = (self.headers.get("Range") or "bytes=0-")[6:-1]
        start = 0 if word in ("no ranges", "web page", "other size") else int(asked)
        body = content[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Type", "text/html; charset=utf-8" if word == "web page" else "application/gzip")
        if word != "no length":
            self.send_header("Content-Length", str(len(body)))
        if start:
            first = 0 if word == "wrong range" else start
            self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        at_once = word in ("trickle", "break off at once")
        halfway = word in ("break off", "stall") or (word == "trickle at the end" and not start)
        sent = 0 if at_once else len(body) // 2 if halfway else len(body)
        self.wfile.write(body[:sent])
        self.wfile.flush()
        if word.startswith("trickle"):
            self.send_slowly(body[sent:])
        elif word == "stall":
            server.released.wait(10)

    def send_slowly(self, content):
        with contextlib.suppress(OSError):
            for byte in content:
                if self.server.released.wait(0.02):
                    return
                self.wfile.write(bytes([byte]))

    def log_message(self, *args):
        pass


class Server(ThreadingHTTPServer):
    def __init__(self, *script):
        super().__init__(("127.0.0.1", 0), Handler)
        self.script = script
        self.ranges = []
        self.released = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}/file.tar.gz"
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()


@pytest.fixture
def serve(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    servers = []

    def start(*script):
        servers.append(Server(*script))
        return servers[-1]

    yield start
    for server in servers:
        server.released.set()
        server.shutdown()
        server.server_close()
        server.thread.join()


@pytest.fixture
def target(tmp_path):
    return tmp_path / "raw" / "file.tar.gz"


def fetch(target, *urls, **settings):
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"TIMEOUT_SECONDS": 5, "ATTEMPTS": 3, "PAUSE_SECONDS": 0.001, **settings}.items():
            patch.setattr(download_module, name, value)
        download(urls, target, MD5, len(CONTENT))


def part_of(target):
    return target.with_name("file.tar.gz.part")


def refusing_url():
    """An address at which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}/file.tar.gz"


# what addresses answer in turn -> the ranges that each is asked for
ANSWERS = {
    "in one go": ({}, [(["full"], [None])]),
    "without a length": ({}, [(["no length"], [None])]),
    "broken off": ({}, [(["break off", "break off", "full"], [None, f"bytes={HALF}-", f"bytes={HALF + HALF // 2}-"])]),
    "stalled": ({"TIMEOUT_SECONDS": 0.2}, [(["stall", "full"], [None, f"bytes={HALF}-"])]),
    "ranges ignored": ({}, [(["break off", "no ranges"], [None, f"bytes={HALF}-"])]),
    "progress is worth any number of attempts": (
        {"ATTEMPTS": 1}, [(["break off"] * 10 + ["full"], [None, *(f"bytes={arrived(n)}-" for n in range(1, 11))])],
    ),
    "busy": ({}, [(["503", "429", "full"], [None] * 3)]),
    "gone, a mirror, and one not needed": ({}, [(["404"], [None]), (["full"], [None]), (["full"], [])]),
    "wrong bytes, and a mirror": ({}, [(["wrong bytes"], [None]), (["full"], [None])]),
    # an address gets a second chance where the part that a run before left may be to blame
    "a part of other bytes": ({"part": b"x" * HALF}, [(["full"], [f"bytes={HALF}-", None])]),
    "a whole part": ({"part": CONTENT}, [(["full"], [])]),
    "too long a part": ({"part": CONTENT + b"12345"}, [(["full"], [None])]),
}  # fmt: skip


@pytest.mark.parametrize("case", ANSWERS)
def test_the_file_arrives_whole(serve, target, case):
    options, addresses = dict(ANSWERS[case][0]), ANSWERS[case][1]
    if part := options.pop("part", b""):
        target.parent.mkdir()
        part_of(target).write_bytes(part)
    servers = [serve(*script) for script, _ in addresses]
    fetch(target, *(server.url for server in servers), **options)
    assert target.read_bytes() == CONTENT and list(target.parent.iterdir()) == [target]
    assert [server.ranges for server in servers] == [ranges for _, ranges in addresses]


@pytest.mark.parametrize("word", ["trickle", "trickled headers", "stall"])
def test_an_address_that_sends_a_byte_now_and_then_is_given_up_for_the_next(serve, target, word, caplog):
    slow, mirror = serve(*([word] if word != "stall" else ["break off", "break off", *["trickle"] * 9])), serve("full")
    began = time.monotonic()
    fetch(target, slow.url, mirror.url, TIMEOUT_SECONDS=0.3, ATTEMPTS=2)
    assert target.read_bytes() == CONTENT and time.monotonic() - began < 30 and len(mirror.ranges) == 1
    assert "slower than 10,000 bytes per second" in caplog.text or word == "trickled headers"


def test_ctrl_c_is_heard_while_a_server_does_not_answer(serve, target, request):
    # what starts tests in the background may have them ignore it
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    server = serve("trickled headers")
    # as Ctrl-C does it: a signal to the main thread, which waits
    threading.Timer(0.5, signal.pthread_kill, [threading.main_thread().ident, signal.SIGINT]).start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        fetch(target, server.url, TIMEOUT_SECONDS=60)
    assert time.monotonic() - began < 10


def test_the_next_run_goes_on_with_what_the_last_one_left(serve, target):
    broken = serve("break off", "break off at once")
    with pytest.raises(DownloadError, match=f"broke off at {HALF:,} of {len(CONTENT):,} bytes") as error:
        fetch(target, broken.url, ATTEMPTS=3)
    assert len(broken.ranges) == 1 + 3, "an address that brings nothing new is given up"
    assert not error.value.offline and part_of(target).stat().st_size == HALF and not target.exists()
    server = serve("full")
    fetch(target, server.url)
    assert target.read_bytes() == CONTENT and server.ranges == [f"bytes={HALF}-"]


@pytest.mark.parametrize(
    ("word", "reason"),
    [("web page", "serves a web page"), ("other size", "not 256000"), ("wrong range", "serves another range")],
)
def test_what_cannot_be_the_file_does_not_touch_what_arrived(serve, target, word, reason):
    target.parent.mkdir()
    part_of(target).write_bytes(CONTENT[:HALF])
    with pytest.raises(DownloadError, match=reason):
        fetch(target, serve(word).url)
    assert part_of(target).read_bytes() == CONTENT[:HALF]


def test_offline_is_told_at_once_and_as_such(serve, target):
    with pytest.raises(DownloadError, match=r"127.0.0.1: Connection refused; 127.0.0.1: ") as error:
        fetch(target, refusing_url(), refusing_url(), PAUSE_SECONDS=60)
    assert error.value.offline
    with pytest.raises(DownloadError, match="unknown url type") as error:
        fetch(target, "cifar-10-python.tar.gz")
    assert not error.value.offline


def test_a_disk_that_fills_up_is_not_retried(serve, target, monkeypatch):
    monkeypatch.setattr(download_module.os, "fsync", Mock(side_effect=OSError(28, "No space left on device")))
    server = serve("full")
    with pytest.raises(OSError, match="No space left"):
        fetch(target, server.url)
    assert len(server.ranges) == 1


def test_two_runs_at_once_download_once(serve, target, monkeypatch):
    server = serve("stall", "full")
    monkeypatch.setattr(download_module, "TIMEOUT_SECONDS", 0.3)
    arguments = ([server.url], target, MD5, len(CONTENT))
    threads = [threading.Thread(target=download, args=arguments) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert target.read_bytes() == CONTENT and server.ranges == [None, f"bytes={HALF}-"]
