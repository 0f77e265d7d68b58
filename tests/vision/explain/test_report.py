"""The report as a page: complete, self-contained, escaped, and right in its figures."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from s10_pipeline.vision.explain.embedding import pair_uris
from s10_pipeline.vision.explain.params import ExplainParams
from s10_pipeline.vision.explain.report import NOTHING, _number, build_report
from s10_pipeline.vision.explain.selection import select_misclassified

NASTY = "<b>&\"'</script>"
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


def report(num_images: int = 25, names: tuple[str, ...] = NAMES, title: str = "CIFAR-10", size: int = 32) -> str:
    rng = np.random.default_rng(0)
    table = predictions(max(120, 2 * num_images), names)
    if not num_images:
        table["prediction"], table["prediction_name"] = table["label"], table["label_name"]
    params = ExplainParams(num_images=num_images or 25, selection="first")
    misclassified = select_misclassified(table, params)
    n = len(misclassified)
    epochs = np.arange(1, 5)
    history = pd.DataFrame({"epoch": epochs, "lr": [0.1, 0.1, 0.02, 0.02], "lr_dropped": epochs == 2})
    for column in ("train_loss", "train_accuracy", "val_loss", "val_accuracy", "test_loss", "test_accuracy"):
        history[column] = [0.2, 0.5, 0.9, float("nan")]
    figure = Figure(figsize=(4, 3))
    figure.subplots().plot([1, 2])
    return build_report(
        misclassified=misclassified,
        images_nhwc=rng.integers(0, 256, (n, size, size, 3), dtype=np.uint8),
        cams=rng.random((n, size, size), dtype=np.float32) * (np.arange(n) != 1)[:, None, None],
        metrics={
            "test_accuracy": 0.5,
            "test_accuracy_ci95": [0.41, 0.59],
            "test_loss": np.float32(0.25),
            "balanced_accuracy": 0.5,
            "macro_f1": 0.5,
            "per_class_accuracy": dict.fromkeys(names, 0.5),
            "ece": float("nan"),
            "num_test_images": len(table),
        },
        test_predictions=table,
        history=history,
        timing=pd.DataFrame(
            {"epoch": epochs, "epoch_seconds": 2.0, "images_per_second": 50.0, "data_wait_fraction": 0.1}
        ),
        best_lr={"lr": 0.05, "method": "valley", "candidates": {"valley": 0.05, "steepest": None}, "spread": 3.0},
        provenance={
            "data": {"train": {"title": title, "parameters": {"path": NASTY, "mirrors": [], "list": [1, {"a": True}]}}},
            NASTY: NASTY,
            "empty": {},
        },
        figures=dict.fromkeys(("accuracy_curves", "loss_curves", "lr_curve_plot", "confusion_matrix", "extra"), figure),
        params=params,
    )


class Page(HTMLParser):
    """Tags with their attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def html() -> str:
    return report()


def facts(html: str) -> dict[str, Any]:
    (text,) = re.findall(r'<script type="application/json" id="report-data">(.*?)</script>', html, re.DOTALL)
    found: dict[str, Any] = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    return found


def test_has_a_card_for_each_image_in_order(html: str) -> None:
    cards = [figure for figure in Page(html).all("figure") if figure["class"] == "mistake"]
    assert [card["data-index"] for card in cards] == [str(i) for i in range(0, 50, 2)]
    assert cards[0]["data-truth"] == NASTY and cards[0]["data-prediction"] == "dog"
    assert html.count("blank map:") == 1
    assert len(Page(html).all("img")) == 25 * 2 - 1 + 5


def test_needs_nothing_else(html: str) -> None:
    page = Page(html)
    assert not re.search(r"https?://", html)
    addresses = [a[k] for _, a in page.tags for k in ("src", "href") if k in a]
    targets = {attributes.get("id") for _, attributes in page.tags}
    assert len(addresses) > 60
    for address in addresses:
        assert address is not None and (address.startswith("data:") or address[1:] in targets), address[:40]
    assert not re.search(r"url\(|@import", html)
    assert len(html) < 5e6


def test_every_image_has_a_text(html: str) -> None:
    assert all(len(image["alt"] or "") > 10 for image in Page(html).all("img"))
    (lang,) = Page(html).all("html")
    assert lang["lang"] == "en"


def test_everything_from_data_is_escaped(html: str) -> None:
    assert NASTY not in html and "<b>" not in html
    assert html.count("</script>") == 1 and len(Page(html).all("script")) == 1
    assert html.count("&lt;b&gt;&amp;&#34;&#39;&lt;/script&gt;") > 30
    assert not Page(html).all("b")


def test_key_figures_as_json(html: str) -> None:
    found = facts(html)
    assert found["metrics"]["test_accuracy"] == 0.5 and found["metrics"]["ece"] is None
    assert found["metrics"]["test_loss"] == 0.25
    assert found["num_misclassified"] == 60 and len(found["misclassified"]) == 25
    first = found["misclassified"][0]
    assert (first["index"], first["truth"], first["prediction"]) == (0, NASTY, "dog")
    assert (first["confidence"], first["truth_probability"]) == (0.7, 0.15)
    assert [card["blank_map"] for card in found["misclassified"]] == [False, True] + [False] * 23
    assert found["training"]["lr_dropped_after_epochs"] == [2]
    assert found["training"]["best_val_epoch"] == 3 and found["training"]["val_accuracy"] is None
    assert found["learning_rate"]["candidates"] == {"valley": 0.05, "steepest": None}


def test_class_figures_and_confusions(html: str) -> None:
    found = facts(html)
    # of 40 images of each class 20 are right, and 20 of the class before it are taken for it
    assert all((c["accuracy"], c["precision"], c["f1"], c["support"]) == (0.5, 0.5, 0.5, 40) for c in found["classes"])
    assert [(p["truth"], p["prediction"]) for p in found["most_confused"]] == [
        (NAMES[0], NAMES[1]),
        (NAMES[1], NAMES[2]),
        (NAMES[2], NAMES[0]),
    ]
    assert all(p["count"] == 20 and p["share"] == 0.5 for p in found["most_confused"])


def test_drawn_data_is_said_to_be_drawn(html: str) -> None:
    assert 'class="banner"' not in html
    drawn = report(title="shapes10: drawn data, not CIFAR-10")
    assert 'class="banner"' in drawn and "Drawn data, not CIFAR-10" in drawn


def test_no_mistakes() -> None:
    html = report(num_images=0)
    assert 'class="mistake"' not in html and "there is nothing to explain" in html
    assert facts(html)["misclassified"] == facts(html)["most_confused"] == []


def test_many_classes_and_images_stay_under_five_megabytes() -> None:
    html = report(num_images=60, names=tuple(f"class {k}" for k in range(100)), size=64)
    assert len(html) < 5e6 and html.count('class="mistake"') == 60
    assert len(facts(html)["classes"]) == 100


def test_pictures_shrink_to_fit_a_budget() -> None:
    rng = np.random.default_rng(0)
    images, cams = rng.integers(0, 256, (30, 64, 64, 3), dtype=np.uint8), rng.random((30, 64, 64), dtype=np.float32)
    for budget in (3_000_000, 300_000):
        pairs = pair_uris(images, cams, budget)
        assert len(pairs) == 30 and budget / 5 < sum(len(uri) for pair in pairs for uri in pair) < budget * 1.05


def test_equal_inputs_give_equal_pages(html: str) -> None:
    assert report() == html


CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture
def browse(tmp_path: Path) -> Callable[..., tuple[str, str]]:
    """Opens a page in a headless browser; gives its document afterwards and what its console said."""
    if CHROMIUM is None:
        pytest.skip("no chromium, chromium-browser or google-chrome here")

    def run(html: str, *options: str) -> tuple[str, str]:
        (tmp_path / "page.html").write_text(html, encoding="utf-8")
        quiet = ("no-first-run", "disable-background-networking", "disable-component-update", "disable-sync")
        command = [
            str(CHROMIUM),
            "--headless",
            "--disable-gpu",
            f"--user-data-dir={tmp_path / 'profile'}",
            "--dump-dom",
        ]
        command += [f"--{option}" for option in (*quiet, "enable-logging=stderr", *options)]
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            command.append("--no-sandbox")  # it refuses to run as root otherwise
        done = subprocess.run(
            [*command, (tmp_path / "page.html").as_uri()], capture_output=True, text=True, check=True, timeout=60
        )
        return done.stdout, "\n".join(line for line in done.stderr.splitlines() if "CONSOLE" in line)

    return run


@pytest.mark.browser
def test_a_browser_shows_it_without_complaint(html: str, browse: Callable[..., tuple[str, str]]) -> None:
    document, console = browse(html)
    assert console == ""
    assert document.count('class="mistake"') == 25
    # the page forbids loading anything, and the browser says so: this test would see an attempt
    _, console = browse(html.replace("</main>", '<img src="https://example.invalid/x.png"></main>'))
    assert "Content Security Policy" in console


@pytest.mark.browser
@pytest.mark.parametrize("width", [500, 1280])
def test_nothing_is_wider_than_the_window(width: int, html: str, browse: Callable[..., tuple[str, str]]) -> None:
    measure = "<script>document.title = document.documentElement.scrollWidth + ' of ' + innerWidth</script></body>"
    probed = re.sub(r'<meta http-equiv="Content-Security-Policy".*?>', "", html).replace("</body>", measure)
    document, _ = browse(probed, f"window-size={width},800")
    (content, window) = re.findall(r"<title>(\d+) of (\d+)</title>", document)[0]
    assert int(content) <= int(window)


def test_numbers_are_written_as_people_write_them() -> None:
    written = [_number(value, 3) for value in (1471.3, 0.21888, 12000, 1e-5, None)]
    assert written == ["1,471", "0.219", "12,000", "1e-05", NOTHING]
