"""What is decided of each node while nothing runs."""

import importlib

from small_project import ALL

from s10_pipeline.staleness.plan import Plan


def plan(project):
    pipeline, catalog = project.pipeline(), project.catalog("2026-09-01T00.00.00.000Z")
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
    (fit,) = (d for d in changed if d.node.name == "fit")
    assert fit.record is None


def test_a_plan_writes_nothing(project):
    before = {path: path.stat().st_mtime_ns for path in project.data.rglob("*")}
    project.parameters["source"]["start"] = 77
    assert states(project)["read"] == "runs"
    assert {path: path.stat().st_mtime_ns for path in project.data.rglob("*")} == before
