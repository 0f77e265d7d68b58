import importlib
import re

import pytest

stages = importlib.import_module("s10_pipeline.staleness.commands.stages")


@pytest.fixture
def told(project, invoke, monkeypatch):
    def call(*arguments):
        monkeypatch.setattr(stages, "pipelines", {"__default__": project.pipeline()})
        rules = importlib.import_module("small.runner").Runner.rules
        return invoke(stages.stages_command(rules), stages, *arguments)

    return call


def test_each_stage_is_told_with_its_state_and_why(project, told):
    project.parameters["fit"]["epochs"] = 9
    before = {path: path.stat().st_mtime_ns for path in project.data.rglob("*.json") if path.name != "memo.json"}
    rows = [re.split(" {2,}", line) for line in told().output.splitlines()]
    by_name = {name: (state, why) for name, state, why in rows}
    assert by_name["prepare"] == ("runs", "prepared is only in memory")
    assert by_name["fit"] == ("runs", "fit.epochs 3 -> 9")
    assert by_name["judge"] == ("waits", "runs if model changes")
    state, made = by_name["read"]
    assert state == "up to date"
    assert re.fullmatch(rf"{project.versions('raw')[0]}, \d+\.\d s", made)
    assert {path: path.stat().st_mtime_ns for path in before} == before, "nothing ran"


def test_as_stored_goes_by_the_parameters_that_made_what_is_there(project, told):
    project.parameters["fit"]["epochs"] = 9
    project.parameters["source"]["start"] = 2
    project.edit("constants.py", "points", "goals")
    rows = [re.split(" {2,}", line)[:2] for line in told("--as-stored").output.splitlines()]
    assert dict(rows) == {
        "read": "up to date", "clean": "up to date", "prepare": "runs", "fit": "up to date", "judge": "runs",
        "label": "up to date",
    }  # fmt: skip


def test_a_pipeline_that_there_is_not(told):
    wrong = told("--pipeline=__defalt__")
    assert wrong.exit_code == 1
    assert "did you mean __default__?" in wrong.output
