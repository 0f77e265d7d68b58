"""The graph that ``kedro viz build`` leaves reads from left to right; a page that others built stays as it is."""

import json
import os
import shutil
import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import entry_points
from types import SimpleNamespace

import pytest

from s10_pipeline.cli_hooks import LEFT_TO_RIGHT, PAGE, command_hooks

OURS = SimpleNamespace(package_name="s10_pipeline")


@pytest.fixture
def page(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    PAGE.parent.mkdir()
    PAGE.write_text("<html><head><title>Kedro-Viz</title></head></html>")
    return tmp_path / PAGE


def test_kedro_knows_the_hooks():
    (found,) = [point for point in entry_points(group="kedro.cli_hooks") if point.name == "s10_pipeline"]
    assert found.load() is command_hooks


def test_the_script_is_put_in_once(page):
    for _ in range(2):
        command_hooks.after_command_run(OURS, ["viz", "build", "--include-previews"])
    assert page.read_text() == f"<html><head>\n{LEFT_TO_RIGHT}<title>Kedro-Viz</title></head></html>"


@pytest.mark.parametrize(
    ("project", "arguments"),
    [
        (OURS, ["run"]),
        (OURS, ["viz"]),
        (SimpleNamespace(package_name="other"), ["viz", "build"]),
        (None, ["viz", "build"]),
    ],
)
def test_nothing_else_is_touched(page, project, arguments):
    before = page.read_text()
    command_hooks.after_command_run(project, arguments)
    assert page.read_text() == before


def test_a_build_that_failed_leaves_nothing_to_change(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command_hooks.after_command_run(OURS, ["viz", "build"])
    assert list(tmp_path.iterdir()) == []


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder without a line for each request."""

    def log_message(self, format, *args):
        pass


@pytest.mark.slow
@pytest.mark.browser
def test_the_graph_reads_from_left_to_right_until_a_reader_turns_it(browser, root, tmp_path):
    for name in ("conf", "src"):  # links would lead out of the project
        shutil.copytree(root / name, tmp_path / name)
    shutil.copy(root / "pyproject.toml", tmp_path)
    env = os.environ | {"KEDRO_ENV": "sample", "S10_DATA_ROOT": str(tmp_path / "data")}
    subprocess.run([sys.executable, "-m", "kedro", "viz", "build"], cwd=tmp_path, env=env, check=True, timeout=300)
    graph = json.loads((tmp_path / "build/api/main").read_text())
    assert graph["layers"] == ["intermediate", "model_input", "models", "model_output", "reporting"]

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=tmp_path / "build")) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            address = f"http://127.0.0.1:{server.server_port}/"
            browser.visit(address)
            line = [
                "ingest_cifar",
                "build_augmented_datasets",
                "lr_range_test",
                "train_resnet",
                "evaluate",
                "compute_cams",
                "gradcam_report",
            ]
            places = places_of(browser, line)
            assert [x for x, _ in places] == sorted(x for x, _ in places)
            assert places[-1][0] - places[0][0] > 2 * abs(places[-1][1] - places[0][1])
            browser.run("document.querySelector('[aria-label=\"Change flowchart orientation\"]').click()")
            browser.wait_for("JSON.parse(localStorage.getItem('KedroViz')).orientation === 'vertical'")
            browser.visit(address)
            places = places_of(browser, line)
            assert [y for _, y in places] == sorted(y for _, y in places)
        finally:
            server.shutdown()


def places_of(browser, names):
    """Where in the graph these nodes stand: (x, y) each."""
    browser.wait_for("document.querySelectorAll('.pipeline-node').length > 30")
    nodes = "[...document.querySelectorAll('.pipeline-node')]"
    script = f"{{ const box = {nodes}.find((n) => n.textContent.trim() === name).getBoundingClientRect();"
    script += " return [box.x + box.width / 2, box.y + box.height / 2]; }"
    return browser.run(f"{json.dumps(names)}.map((name) => {script})")
