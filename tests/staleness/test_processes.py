"""Runs that are killed, and runs at once, in processes of their own."""

import json
import logging
import subprocess
import sys
from pathlib import Path

from small_project import ALL


def program(name: str, folder: Path):
    script = Path(__file__).with_name(name)
    result = subprocess.run([sys.executable, script, folder], capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


def test_killed_wherever_it_writes_a_run_goes_on_from_there(tmp_path):
    results = program("killed_runs.py", tmp_path)
    assert len(results) == 24, "flush and rename of six saves and six records"
    for result in results:
        # of what is recorded nothing is made again, but for results in memory that a stage needs
        missing = [name for name in ALL if name not in result["recorded"]]
        needed = {"prepare"} & set(ALL if "fit" in missing else [])
        optional = {"prepare"} if "fit" not in missing else set()
        assert set(result["ran"]) == (set(missing) - optional) | needed, result
        assert result["same"], result
        assert result["again"] == [], result
    killed_between_two_outputs = [r for r in results if "read" in r["recorded"] and "clean" not in r["recorded"]]
    assert len(killed_between_two_outputs) >= 4


def test_runs_at_once_read_only_what_they_made(tmp_path):
    result = program("runs_at_once.py", tmp_path)
    for run, start in (("a", 10), ("b", 500)):
        left = result["left"][run]
        model = (start + 1 + 1) * 2 + 3
        assert left == {
            "raw": start,
            "table": start,
            "model": model,
            "score": {"score": model - start, "page": f"score {model}\n"},
        }
    # the records of both were kept
    assert result["again"] == {"a": [], "b": []}


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


def test_a_slice_reads_what_was_there_when_it_began(project, registered):
    """A whole run that ends while a slice is going on is not mixed into it."""
    registered(project)
    version, table = project.versions("table")[-1], project.stored("table")
    inner = project.copy_to(project.folder.parent / "copy")
    inner.data = project.data
    inner.parameters["source"]["start"] = 77

    class RunsBeside(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.getMessage().startswith("Running node: judge") and not self.ran:
                self.ran = True
                logging.getLogger("kedro.pipeline.node").removeHandler(self)
                assert inner.run(run_id="2026-05-01T00.00.01.000Z") == ["read", "clean", "prepare", "fit", "judge"]

        ran = False

    handler = RunsBeside()
    logger = logging.getLogger("kedro.pipeline.node")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        project.run("judge", force=True, run_id="2026-05-01T00.00.00.000Z")
    finally:
        logger.removeHandler(handler)
    assert handler.ran
    (record,) = [r for r in project.records.of("judge") if r.run == "2026-05-01T00.00.00.000Z"]
    assert record.inputs["table"] == version
    model = project.stored("model", record.inputs["model"])
    assert project.stored("score", record.run)["score"] == model - table
