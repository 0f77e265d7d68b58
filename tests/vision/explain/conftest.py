"""A report to look at, and a headless browser to look at it with.

The browser is driven through its debugging protocol: https://chromedevtools.github.io/devtools-protocol/.
"""

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from websockets.sync.client import ClientConnection, connect

from s10_pipeline.vision.data.image_set import ImageSet
from s10_pipeline.vision.evaluation.calibration import tabulate_reliability
from s10_pipeline.vision.evaluation.classes import measure_classes
from s10_pipeline.vision.evaluation.label_errors import find_label_errors
from s10_pipeline.vision.evaluation.metrics import compute_metrics
from s10_pipeline.vision.explain.params import ExplainParams
from s10_pipeline.vision.explain.report import ReportInputs, build_report
from s10_pipeline.vision.explain.selection import select_misclassified

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
        """The value of a JavaScript expression."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def press(self, key: str, text: str = "") -> None:
        """A key of the keyboard, as the focused element gets it."""
        for kind in ("keyDown", "keyUp"):
            code = {"Enter": 13, " ": 32, "Tab": 9}[key]
            given = {"text": text} if text and kind == "keyDown" else {}
            self.call("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, **given)

    def complaints(self) -> list[str]:
        """What console and log said since the page was opened."""
        self.run("0")
        kinds = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")
        return [json.dumps(event["params"]) for event in self._events if event["method"] in kinds]

    def requests(self) -> list[str]:
        """Addresses that were asked for, besides the page itself and what it holds."""
        self.run("0")
        asked = [e["params"]["request"]["url"] for e in self._events if e["method"] == "Network.requestWillBeSent"]
        return [url for url in asked if not url.startswith("data:") and not url.endswith("/page.html")]

    def screenshot(self, path: Path, *, full: bool = True) -> None:
        image = self.call("Page.captureScreenshot", captureBeyondViewport=full)["data"]
        path.write_bytes(base64.b64decode(image))


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A headless Chromium for the whole session."""
    if CHROMIUM is None:
        pytest.skip("no chromium, chromium-browser or google-chrome here")
    folder = tmp_path_factory.mktemp("browser")
    command = [
        CHROMIUM,
        "--headless",
        "--disable-gpu",
        "--remote-debugging-port=0",
        f"--user-data-dir={folder}/profile",
    ]
    command += [f"--{option}" for option in ("no-first-run", "disable-background-networking", "disable-sync")]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--no-sandbox")  # it refuses to run as root otherwise
    process = subprocess.Popen([*command, "about:blank"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
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


NASTY = "<script>alert(1)</script>&\"' $x^2$ ünï木"
NAMES = (NASTY, "dog", "a class with quite a long name, as taxonomies have them")


def predictions(num_images: int, names: tuple[str, ...]) -> pd.DataFrame:
    """Each class in turn; every second image is taken for the next class."""
    index = np.arange(num_images)
    label = index % len(names)
    prediction = np.where(index % 2, label, (label + 1) % len(names))
    probabilities = np.full((num_images, len(names)), 0.3 / (len(names) - 1))
    probabilities[index, prediction] = 0.7
    table = {"index": index, "path": [f"test/{names[k]}/{i}.png" for i, k in zip(index, label, strict=True)]}
    table |= {"label": label, "prediction": prediction}
    table |= {"label_name": np.array(names)[label], "prediction_name": np.array(names)[prediction], "confidence": 0.7}
    return pd.concat(
        [pd.DataFrame(table), pd.DataFrame(probabilities, columns=[f"p_{name}" for name in names])], axis=1
    )


def make_inputs(
    num_images: int = 25, names: tuple[str, ...] = NAMES, title: str = "CIFAR-10", size: int = 32, planted: bool = False
) -> ReportInputs:
    """What a report is made of; ``num_images`` mistakes are explained, the map of the second is blank."""
    rng = np.random.default_rng(0)
    table = predictions(max(120, 2 * num_images), names)
    if not num_images:
        table["prediction"], table["prediction_name"] = table["label"], table["label_name"]
    params = ExplainParams(num_images=num_images or 25, selection="first")
    misclassified = select_misclassified(table, params)
    n = len(misclassified)
    pixels = rng.integers(0, 256, (len(table), size, size, 3), dtype=np.uint8)
    images = ImageSet(pixels, table["label"].to_numpy(), names, tuple(table["path"]), {"title": title})
    epochs = np.arange(1, 5)
    history = pd.DataFrame({"epoch": epochs, "lr": [0.1, 0.1, 0.02, 0.02], "lr_dropped": epochs == 2})
    for column in ("train_loss", "train_accuracy", "val_loss", "val_accuracy", "test_loss", "test_accuracy"):
        history[column] = [0.2, 0.5, 0.9, float("nan")]
    metrics = compute_metrics(table[[f"p_{name}" for name in names]].to_numpy(), images.labels, names, 15)
    best_lr = {"lr": 0.05, "method": "valley", "candidates": {"valley": 0.05, "steepest": None}, "spread": 3.0}
    plateau = {"factor": 0.2, "patience": 0, "threshold": 0.001}
    advantage = {"mean": 0.2, "low": 0.1, "high": 0.3}
    controls = ("random_pixels", "random_maps", "other_maps")
    cam_check = {
        "num_maps": 24, "num_blank": 1, "percentages": [10, 20, 40], "verdict": "trust",
        "drop": {name: [0.1, 0.2, 0.3] for name in ("maps", *controls)},
        "advantage": dict.fromkeys(controls, advantage),
    }  # fmt: skip
    probe = pd.DataFrame({"class_name": names, "num_images": 40, "accuracy": 0.5, "accuracy_tagged": 0.25})
    figure = Figure(figsize=(4, 3))
    figure.subplots().plot([1, 2])
    known = ("accuracy_curves", "loss_curves", "lr_curve_plot", "confusion_matrix", "reliability_diagram")
    return ReportInputs(
        train_images=images,
        test_images=images,
        misclassified=misclassified,
        cams_nhw=rng.random((n, size, size), dtype=np.float32) * (np.arange(n) != 1)[:, None, None],
        true_cams_nhw=rng.random((n, size, size), dtype=np.float32),
        metrics=metrics | {"ece": float("nan"), "temperature": 1.5, "ece_after_temperature": 0.01,
                           "num_near_duplicates": 1, "test_accuracy_without_near_duplicates": 0.49,
                           "test_accuracy_with_flip": 0.52, "test_accuracy_with_flip_ci95": [0.5, 0.54]},
        test_predictions=table,
        class_metrics=measure_classes(table),
        reliability=tabulate_reliability(np.full((4, 2), 0.5), np.array([0, 1, 0, 0]), 1.5, 15),
        label_error_candidates=find_label_errors(table),
        near_duplicates=pd.DataFrame(
            {"test_index": [3], "train_index": [5], "similarity": [0.9], "test_label_name": [names[0]],
             "train_label_name": [names[1]]}
        ),
        shortcut_probe=probe.assign(taken=0.0, taken_tagged=1.0) if planted else probe.head(0),
        history=history,
        timing=pd.DataFrame(
            {"epoch": epochs, "epoch_seconds": 2.0, "images_per_second": 50.0, "data_wait_fraction": 0.1}
        ),
        best_lr=best_lr,
        provenance={
            "data": {"train": {"title": title, "parameters": {"path": NASTY, "mirrors": [], "list": [1, {"a": True}]}}},
            "train": {"plateau": plateau, "warmup_epochs": 0},
            NASTY: NASTY,
            "empty": {},
        },
        cam_check=cam_check,
        params=params,
        lineage=[("train source", NASTY, "md5:abc")],
        shortcut_maps={"class_name": names[0], "num_images": 7, "area": 0.02, "heat_plain": 0.01, "heat_tagged": None,
                       "examples": []} if planted else None,
        figures=dict.fromkeys((*known, "cam_check_plot", "augmentation_preview", "extra"), figure),
    )  # fmt: skip


@pytest.fixture(scope="session")
def inputs() -> Callable[..., ReportInputs]:
    """Makes a report's inputs, with names that try to break out of whatever they are written into."""
    return make_inputs


@pytest.fixture(scope="session")
def html() -> str:
    """A page of 25 mistakes."""
    return build_report(make_inputs())
