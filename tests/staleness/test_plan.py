"""What is decided of each node while nothing runs."""

import importlib
import logging

from small_project import ALL

from s10_pipeline.staleness.plan import Plan


def plan(project, load_versions=None):
    pipeline, catalog = project.pipeline(), project.catalog("2026-09-01T00.00.00.000Z", load_versions)
    rules = importlib.import_module("small.runner").Runner.rules
    return Plan(rules, pipeline, catalog, project.records)


def states(project) -> dict[str, str]:
    return {decision.node.name: decision.state for decision in plan(project).decisions()}


def test_what_is_stale_runs_and_what_comes_after_it_waits(project):
    # prepare's results live in memory alone: it runs if what reads them does
    assert states(project) == dict.fromkeys(ALL, "up to date") | {"prepare": "on demand"}
    project.parameters["fit"]["epochs"] = 9
    changed = plan(project).decisions()
    assert {d.node.name: d.state for d in changed if d.state != "up to date"} == {
        "prepare": "on demand", "fit": "runs", "judge": "waits",
    }  # fmt: skip
    assert {str(d) for d in changed} >= {
        "fit: runs, fit.epochs 3 -> 9", "judge: waits, runs if model changes", "read: up to date",
    }  # fmt: skip
    (fit,) = (d for d in changed if d.node.name == "fit")
    assert fit.record is None


def test_a_plan_writes_nothing(project):
    before = {path: path.stat().st_mtime_ns for path in project.data.rglob("*")}
    project.parameters["source"]["start"] = 77
    assert states(project)["read"] == "runs"
    assert {path: path.stat().st_mtime_ns for path in project.data.rglob("*")} == before


def test_an_unfinished_version_is_passed_over_with_a_warning(project, caplog):
    left = project.data / "table.json" / "2026-02-01T00.00.00.000Z" / "table.json"
    left.parent.mkdir()
    left.write_text("12345")  # of a run that was killed before it saved summary
    with caplog.at_level(logging.WARNING):
        assert plan(project).content("table").version == project.versions("table")[0]
    assert "2026-02-01T00.00.00.000Z" in caplog.text
    chosen = plan(project, {"table": "2026-02-01T00.00.00.000Z"})
    assert chosen.content("table").version == "2026-02-01T00.00.00.000Z"
