"""A headless Chromium, driven through its debugging protocol: https://chromedevtools.github.io/devtools-protocol/.

A module of its own, so that tests without a browser need no websockets.
"""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Browser:
    """One page in a headless Chromium; keeps what its console said and what it asked the network for."""

    def __init__(self, connection: ClientConnection, folder: Path) -> None:
        self._connection, self._folder, self._last_id = connection, folder, 0
        self._events: list[dict[str, Any]] = []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """A command of the protocol and its answer; events that come before are kept."""
        self._last_id += 1
        self._connection.send(json.dumps({"id": self._last_id, "method": method, "params": params}))
        while True:
            message = json.loads(self._connection.recv(timeout=30))
            if message.get("id") == self._last_id:
                assert "error" not in message, message
                result: dict[str, Any] = message["result"]
                return result
            self._events.append(message)

    def open(self, html: str, *, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        """Show a page in a window of this size and colour scheme; what earlier ones said is forgotten."""
        page = self._folder / "page.html"
        page.write_text(html, encoding="utf-8")
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.call("Emulation.setEmulatedMedia", features=scheme)
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self._events.clear()
        self.call("Page.navigate", url=page.as_uri())
        self.wait_for("document.readyState === 'complete' && location.protocol === 'file:'")

    def wait_for(self, condition: str) -> None:
        end = time.monotonic() + 20
        while not self.run(condition):
            assert time.monotonic() < end, f"never true: {condition}"
            time.sleep(0.05)

    def run(self, script: str) -> Any:
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def press(self, key: str, text: str = "") -> None:
        for kind in ("keyDown", "keyUp"):
            code = {"Enter": 13, " ": 32, "Tab": 9}[key]
            given = {"text": text} if text and kind == "keyDown" else {}
            self.call("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, **given)

    def complaints(self) -> list[str]:
        self.run("0")
        kinds = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")
        return [json.dumps(event["params"]) for event in self._events if event["method"] in kinds]

    def requests(self) -> list[str]:
        """Addresses that were asked for, besides the page itself and what it holds."""
        self.run("0")
        asked = [e["params"]["request"]["url"] for e in self._events if e["method"] == "Network.requestWillBeSent"]
        return [url for url in asked if not url.startswith("data:") and not url.endswith("/page.html")]


@contextmanager
def open_browser(folder: Path) -> Iterator[Browser]:
    """Start Chromium with its profile in a folder; skip the test where there is none."""
    if CHROMIUM is None:
        pytest.skip("no chromium, chromium-browser or google-chrome here")
    options = ["headless", "disable-gpu", "remote-debugging-port=0", f"user-data-dir={folder}/profile", "no-first-run"]
    options += ["disable-background-networking", "disable-sync"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        options.append("no-sandbox")  # it refuses to run as root otherwise
    command = [CHROMIUM, *(f"--{option}" for option in options), "about:blank"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("DevTools listening on "):
                break
        else:
            pytest.fail("Chromium ended before it could be driven")
        with connect(line.split()[-1], max_size=None) as root:
            root.send(json.dumps({"id": 1, "method": "Target.getTargets"}))
            targets = json.loads(root.recv(timeout=30))["result"]["targetInfos"]
            page = next(target for target in targets if target["type"] == "page")
        address = line.split()[-1].replace("/devtools/browser/", "/devtools/page/").rpartition("/")[0]
        with connect(f"{address}/{page['targetId']}", max_size=None) as connection:
            yield Browser(connection, folder)
    finally:
        process.terminate()
        process.wait(timeout=20)
        process.stderr.close()  # type: ignore[union-attr]
