import importlib

import pytest

lineage = importlib.import_module("s10_pipeline.staleness.commands.lineage")


@pytest.fixture
def told(invoke):
    return lambda *arguments: invoke(lineage.lineage, lineage, *arguments)


def test_an_artifact_is_traced_back_to_what_nobody_made(project, told):
    lines = told("score").output.splitlines()
    version = project.versions("score")[0]
    assert lines[0].startswith(f"score {version}  sha256:")
    makers = [line.split()[1].rstrip(",") for line in lines if line.strip().startswith("by ")]
    assert makers == ["judge", "fit", "prepare", "clean", "read"]
    # the score was made of the table too, which was told with the model
    assert lines[-1].strip().startswith(f"table {version} ") and lines[-1].endswith("by clean (above)")
    assert any("fit.epochs=3" in line for line in lines)
    assert "names (not versioned) (no record of what made it)" in told("labels").output


def test_a_version_or_a_file_may_be_named(project, told):
    old = project.versions("model")[0]
    project.parameters["fit"]["epochs"] = 9
    project.run()
    new = project.versions("model")[-1]
    assert "fit.epochs=9" in told("model").output
    by_version = told("model", f"--version={old}").output
    assert "fit.epochs=3" in by_version
    assert told(str(project.data / "model.json" / old / "model.json")).output == by_version
    wrong = told("model", f"--version={new[:-5]}")
    assert wrong.exit_code == 1 and new in wrong.output


def test_a_name_that_there_is_not_and_one_without_a_record(project, told):
    wrong = told("modle")
    assert wrong.exit_code == 1 and "did you mean model?" in wrong.output
    for path in project.data.glob(".records/nodes/fit/*"):
        path.unlink()
    lost = told("model")
    assert lost.exit_code == 1 and "kedro run" in lost.output
