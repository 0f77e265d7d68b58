"""Runs that are killed, and runs at once, in processes of their own."""

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest
from small_project import ALL


def test_killed_wherever_it_writes_a_run_goes_on_from_there(tmp_path):
    script = Path(__file__).with_name("killed_runs.py")
    result = subprocess.run([sys.executable, script, tmp_path], capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    results = json.loads(result.stdout.splitlines()[-1])
    assert len(results) == 24, "flush and rename of six saves and six records"
    for result in results:
        # of what is recorded nothing is made again, but for results in memory
        missing = {name for name in ALL if name not in result["recorded"]}
        assert set(result["ran"]) == missing | {"prepare"}, result
        assert result["same"], result
        assert result["again"] == ["prepare"], result
    killed_between_two_outputs = [r for r in results if "read" in r["recorded"] and "clean" not in r["recorded"]]
    assert len(killed_between_two_outputs) >= 4


def test_runs_that_began_in_the_same_millisecond_keep_apart(project):
    taken = "2026-04-01T00.00.00.000Z"
    before = project.versions("raw")
    with project.records.running(taken) as first:
        assert first == taken
        assert project.run(force=True, run_id=taken) == ALL
    (own,) = set(project.versions("raw")) - set(before)
    assert own != taken
    assert {record.run for record in project.records.all()} == {*before, own}
    assert project.run(run_id="2026-05-01T00.00.00.000Z", force=True) == ALL
    assert project.versions("raw")[-1] != taken


class RunsBeside(logging.Handler):
    """Calls something once, when a node begins."""

    def __init__(self, node: str, call) -> None:
        super().__init__()
        self._start, self._call, self.result = f"Running node: {node}", call, None

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage().startswith(self._start) and self.result is None:
            self.result = []
            self.result = self._call()


@pytest.mark.parametrize("nodes", [("judge",), ()])
def test_a_run_reads_what_it_made_or_what_was_there_when_it_began(project, registered, nodes, monkeypatch):
    """A whole run that begins and ends meanwhile is not mixed into it."""
    registered(project)
    outer, inner = "2026-05-01T00.00.00.000Z", "2026-05-01T00.00.01.000Z"
    read = project.versions("table")[-1] if nodes else outer
    beside = project.copy_to(project.folder.parent / "copy")
    beside.data = project.data
    beside.parameters["source"]["start"] = 77
    handler = RunsBeside("judge", lambda: beside.run(run_id=inner))
    logger = logging.getLogger("kedro.pipeline.node")
    monkeypatch.setattr(logger, "handlers", [handler])
    monkeypatch.setattr(logger, "level", logging.INFO)
    project.run(*nodes, force=True, run_id=outer)
    assert handler.result == ["read", "clean", "prepare", "fit", "judge"]
    for run, table in ((outer, read), (inner, inner)):
        (record,) = [record for record in project.records.of("judge") if record.run == run]
        assert record.inputs["table"] == table
        model = project.stored("model", record.inputs["model"])
        assert project.stored("score", run)["score"] == model - project.stored("table", table)
