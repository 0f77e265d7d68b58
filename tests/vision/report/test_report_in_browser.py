import csv
import json
import shutil
import subprocess
import tarfile
from typing import Any
from urllib.parse import unquote

import pytest

from s10_pipeline.vision.data.corrections import COLUMNS, pixels_sha256
from s10_pipeline.vision.report.figures import draw_figures
from s10_pipeline.vision.report.page import build_report

pytestmark = pytest.mark.browser


@pytest.fixture
def page(browser: Any, html: str) -> Any:
    browser.open(html)
    return browser


def column(page: Any, table: str, number: int) -> list[str]:
    rows = f"[...document.querySelectorAll('{table} tbody tr')]"
    found: list[str] = page.run(f"{rows}.map((row) => row.cells[{number}].textContent.trim())")
    return found


def test_nothing_is_complained_about_or_asked_for(page: Any, html: str) -> None:
    assert page.complaints() == [] and page.requests() == []
    assert page.run("[...document.images].every((image) => image.complete && image.naturalWidth > 0)")
    # both would be seen: the page forbids loading anything and running any other script, and the browser says so
    page.open(html.replace("</main>", '<img src="https://example.invalid/x.png"><script>alert(1)</script></main>'))
    page.wait_for("document.images.length > 100")
    complaints = " ".join(page.complaints())
    assert "img-src" in complaints and "script-src" in complaints


@pytest.mark.parametrize("width", [1280, 768, 390])
@pytest.mark.parametrize("dark", [False, True])
def test_nothing_is_wider_than_the_window(browser: Any, html: str, width: int, dark: bool) -> None:
    browser.open(html, width=width, dark=dark)
    assert browser.run("innerWidth") == width and browser.run("document.documentElement.scrollWidth") <= width
    tables = "[...document.querySelectorAll('.scroll')].filter((table) => table.checkVisibility())"
    assert browser.run(f"{tables}.length") > 2
    assert browser.run(f"{tables}.filter((table) => table.scrollWidth > table.clientWidth).length") == 0
    background = browser.run("getComputedStyle(document.body).backgroundColor")
    brightness = sum(int(part) for part in background.removeprefix("rgb(").rstrip(")").split(","))
    assert (brightness < 150) == dark and browser.complaints() == []


@pytest.mark.parametrize("num_classes", [3, 100])
def test_the_page_is_soon_read(browser: Any, inputs: Any, num_classes: int) -> None:
    given = inputs(25, tuple(f"class {k}" for k in range(num_classes)))
    browser.open(build_report(given, draw_figures(given)))
    assert browser.run("document.documentElement.scrollHeight") < 6000


@pytest.fixture(scope="session")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The source of axe-core, from npm."""
    folder = tmp_path_factory.mktemp("axe")
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("no npm here, which axe-core comes from")
    command = [npm, "pack", "axe-core@4", "--silent"]
    got = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    if got.returncode:
        pytest.skip(f"npm has no axe-core for us: {got.stderr[-200:]}")
    with tarfile.open(next(folder.glob("*.tgz"))) as archive:
        return archive.extractfile("package/axe.min.js").read().decode()  # type: ignore[union-attr]


@pytest.mark.parametrize("dark", [False, True])
def test_axe_finds_nothing_to_complain_about(browser: Any, inputs: Any, axe: str, dark: bool) -> None:
    given = inputs()
    browser.open(build_report(given, draw_figures(given)), dark=dark)
    browser.run("document.querySelectorAll('details').forEach((details) => { details.open = true; })")
    browser.run(f"{{ {axe}; 0 }}")
    rules = json.dumps({"runOnly": ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa"]})
    found = browser.run(f"axe.run({rules}).then((result) => result.violations)")
    assert [(rule["id"], node["html"][:200]) for rule in found for node in rule["nodes"]] == []


def test_tables_sort_by_mouse_and_keyboard(page: Any) -> None:
    table = "#classes table"
    page.run("scrollTo(0, 0)")
    before = column(page, table, 0)
    page.run(f"document.querySelector('{table} th button').click()")
    assert column(page, table, 0) == sorted(before, key=str.casefold)
    assert page.run(f"document.querySelector('{table} th').getAttribute('aria-sort')") == "ascending"
    # the same button, pressed through the keyboard, reverses the order
    page.run(f"document.querySelectorAll('{table} th button')[0].focus()")
    page.press("Enter", "\r")
    assert column(page, table, 0) == sorted(before, key=str.casefold, reverse=True)
    assert page.run(f"document.querySelectorAll('{table} [aria-sort]').length") == 1
    assert page.run("document.activeElement.closest('th').getAttribute('aria-sort')") == "descending"


def test_numbers_sort_as_numbers_and_unknown_ones_come_last(page: Any) -> None:
    losses = "#training table.sortable"
    page.run(f"document.querySelector('{losses}').closest('details').open = true")
    sort = f"document.querySelectorAll('{losses} th[scope=col] button')[6].click()"
    page.run(sort)
    assert column(page, losses, 6) == ["0.9", "0.5", "0.2", "–"]
    page.run(sort)
    assert column(page, losses, 6) == ["0.2", "0.5", "0.9", "–"] and column(page, losses, 0) == ["1", "2", "3", "4"]


def shown(page: Any) -> list[str]:
    found: list[str] = page.run(
        "[...document.querySelectorAll('figure.mistake')].filter((f) => f.offsetParent).map((f) => f.dataset.index)"
    )
    return found


def choose(page: Any, name: str, position: int) -> None:
    select = f"document.querySelector('.filter select[name={name}]')"
    page.run(f"{select}.selectedIndex = {position}")
    page.run(f"{select}.dispatchEvent(new Event('change', {{bubbles: true}}))")


def test_the_gallery_filters_by_true_and_predicted_class(page: Any) -> None:
    everything = shown(page)
    assert len(everything) == 25
    assert page.run("document.querySelector('.filter output').textContent") == "25 of 25 shown"
    options = page.run("[...document.querySelector('.filter select[name=truth]').options].map((o) => o.value)")
    assert options[0] == "all" and len(options) == 4
    cards = "[...document.querySelectorAll('figure.mistake')]"
    for position in (1, 2, 3):
        choose(page, "truth", position)
        of_this_class = page.run(
            f"{cards}.filter((f) => f.dataset.truth === document.querySelector('.filter select[name=truth]').value)"
            ".map((f) => f.dataset.index)"
        )
        assert 8 <= len(of_this_class) <= 9 and shown(page) == of_this_class
    # each class is taken for one other alone: with another prediction nothing is left
    counts = []
    for position in (1, 2, 3):
        choose(page, "prediction", position)
        counts.append(len(shown(page)))
    assert sorted(counts) == [0, 0, 8]
    page.run("document.querySelector('.filter button').click()")
    page.wait_for("document.querySelector('.filter output').textContent === '25 of 25 shown'")
    assert shown(page) == everything


def chosen(page: Any) -> list[list[str]]:
    """Rows of the file, and its first line before them."""
    text = unquote(page.run("document.querySelector('.corrections a').href"))
    return list(csv.reader(text.removeprefix("data:text/csv;charset=utf-8,").splitlines()))


def test_corrections_are_kept_and_become_a_file(browser: Any, inputs: Any) -> None:
    given = inputs(names=("cat", "dog", "two  spaces"))
    digest = pixels_sha256(given.train_images.images_nhwc[1])
    earlier = ["train", "9", "earlier.png", digest, "relabel", "dog"]
    source = given.provenance["data"]["train"]
    source |= {"checksum": "sha256:abc", "corrections": {"kept": 0, "relabelled": 1, "dropped": 0, "rows": [earlier]}}
    browser.open(build_report(given, {}))
    browser.run("document.querySelectorAll('details').forEach((details) => { details.open = true; })")
    first = chosen(browser)
    assert "sha256:abc" in first[0][0] and tuple(first[1]) == COLUMNS and first[2:] == [earlier]
    pressed = "[...document.querySelectorAll('.fix [aria-pressed=true]')].map((button) => button.textContent)"
    assert browser.run(pressed) == ["right as it is"], "what was corrected before is right now"
    browser.run("document.querySelector('#labels .fix button').focus()")
    browser.press("Tab")
    browser.press("Tab")
    browser.press("Enter", "\r")
    select = "document.querySelector('#losses .fix select')"
    name = given.train_images.class_names[2]
    assert browser.run(f"{select}.length") == 1, "a thousand classes in hundreds of lists would be slow to open"
    browser.run(f"{select}.focus()")
    browser.run(f"{select}.value = {json.dumps(name)}; {select}.dispatchEvent(new Event('change'))")
    digests = [pixels_sha256(given.train_images.images_nhwc[index]) for index in (7, 0)]
    rows = {row[3]: row for row in chosen(browser)[2:]}
    assert rows == {
        digest: earlier,
        digests[0]: ["train", "7", "test/dog/7.png", digests[0], "drop", ""],
        digests[1]: ["train", "0", given.train_images.paths[0], digests[1], "relabel", name],
    }
    browser.call("Page.reload")
    browser.wait_for("document.readyState === 'complete' && document.querySelector('.fix .chosen')")
    assert {row[3]: row for row in chosen(browser)[2:]} == rows
    assert "0 right as they are, 2 of another class, 1 to drop" in browser.run("document.body.innerText")
    browser.run("document.querySelectorAll('#labels .fix button')[1].click()")
    assert digests[0] not in {row[3] for row in chosen(browser)[2:]}, "the same button takes it back"
    assert browser.complaints() == []


def test_everything_is_there_without_scripts(browser: Any, html: str) -> None:
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(html)
        assert len(shown(browser)) == 25 and browser.run("document.querySelector('.filter').offsetParent === null")
        assert browser.run("document.querySelectorAll('th button').length") == 0
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)


def test_the_keyboard_reaches_sections(page: Any) -> None:
    page.press("Tab")
    assert page.run("document.activeElement.className") == "skip"
    reached = set()
    for _ in range(18):
        page.press("Tab")
        reached.add(page.run("document.activeElement.getAttribute('href')"))
    assert {"#summary", "#mistakes", "#trust", "#provenance"} <= reached


def test_prints_without_what_only_a_screen_can_do(browser: Any, html: str) -> None:
    browser.open(html)
    browser.call("Emulation.setEmulatedMedia", media="print")
    hidden = "(name) => document.querySelector(name).offsetParent === null"
    assert browser.run(f"['nav', '.filter'].every({hidden})")
    assert browser.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert len(browser.call("Page.printToPDF")["data"]) > 10_000
    browser.call("Emulation.setEmulatedMedia", media="")
