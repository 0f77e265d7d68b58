"""What is decided of each node while nothing runs."""

import importlib

from small_project import ALL

from s10_pipeline.staleness.plan import Plan


def test_a_plan_decides_and_writes_nothing(project):
    project.parameters["fit"]["epochs"] = 9
    before = {path: path.stat().st_mtime_ns for path in project.data.rglob("*")}
    pipeline, catalog = project.pipeline(), project.catalog("2026-09-01T00.00.00.000Z")
    rules = importlib.import_module("small.runner").Runner.rules
    decisions = {d.node.name: d for d in Plan(rules, pipeline, catalog, project.records).decisions()}
    # prepare's results live in memory alone: it runs if what reads them does
    changed = {"prepare": "on demand", "fit": "runs", "judge": "waits"}
    assert {name: d.state for name, d in decisions.items()} == dict.fromkeys(ALL, "up to date") | changed
    assert decisions["fit"].record is None
    assert {path: path.stat().st_mtime_ns for path in project.data.rglob("*")} == before
