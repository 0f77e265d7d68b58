"""Which nodes of a small project run, and what they leave."""

import importlib
import json
import logging
import os
import shlex

import click
import pytest
from kedro.io import MemoryDataset
from kedro.pipeline import Pipeline, node
from small_project import ALL, PARAMETERS, SmallProject

from s10_pipeline.identity.digests import Memo
from s10_pipeline.staleness.commands.params import Params
from s10_pipeline.staleness.records import RecordsDataset

IN_MEMORY = ["prepare"]  # its result is only in memory, so it runs each time
AFTER_READ = ["clean", "prepare", "fit", "judge"]


def set_parameter(name: str, value: object):
    group, _, key = name.partition(".")
    return lambda project: project.parameters[group].update({key: value})


def change(pattern: str, text: str | None = None):
    return lambda project: [p.write_text(text) if text else p.unlink() for p in project.data.glob(pattern)]


def edit(*change: str):
    return lambda project: project.edit(*change)


def touch_everything(project: SmallProject) -> None:
    for path in project.data.rglob("*.json"):
        os.utime(path, (1e9, 1e9))


CASES = {
    "nothing": (lambda project: None, IN_MEMORY),
    "a parameter": (set_parameter("fit.epochs", 4), ["prepare", "fit", "judge"]),
    "a parameter that another stage reads": (set_parameter("source.start", 7), ["read", *AFTER_READ]),
    "a parameter that is declared harmless": (set_parameter("fit.device", "cuda"), IN_MEMORY),
    "a new parameter": (set_parameter("fit.momentum", 0.9), ["prepare", "fit"]),  # equal result: judge stays
    "a comment": (edit("deep.py", "# as told", "# as said"), IN_MEMORY),
    "a constant of a helper": (edit("constants.py", "FACTOR = 2", "FACTOR = 3"), ["prepare", "fit", "judge"]),
    "a constant by attribute": (edit("constants.py", "points", "goals"), ["prepare", "judge"]),
    "own code, equal result": (edit("nodes.py", 'fit["epochs"]', 'fit["epochs"] + 0'), ["prepare", "fit"]),
    "an output is deleted": (change("model.json/*/*.json"), ["prepare", "fit"]),
    "one of two outputs is deleted": (change("summary.json/*/*.json"), ["clean", "prepare"]),
    "an output is edited by hand": (change("model.json/*/*.json", "1"), ["prepare", "fit"]),
    "an input is replaced by other content": (change("names.json", '["d", "c"]'), ["prepare", "label"]),
    "an input is replaced by equal content": (change("names.json", '["b", "a"]'), IN_MEMORY),
    "a record is deleted": (change(".records/nodes/fit/*.json"), ["prepare", "fit"]),
    "all files have new times": (touch_everything, IN_MEMORY),
    "the memory of digests is lost": (change(".records/memo.json"), IN_MEMORY),
}


def written(project: SmallProject) -> dict:
    return {p: p.stat().st_mtime_ns for p in project.data.rglob("*") if p.is_file() and ".records" not in str(p)}


@pytest.mark.parametrize("case", CASES)
def test_exactly_these_nodes_run(project, case):
    change, expected = CASES[case]
    change(project)
    assert project.run() == expected
    before = written(project)
    assert project.run() == IN_MEMORY
    assert written(project) == before


def test_a_forced_run_runs_everything_and_stores_equal_contents_once(project):
    assert project.run(force=True) == ALL
    for name in ("raw", "table", "summary", "model", "score", "labels"):
        first, second = [project.data / f"{name}.json" / v / f"{name}.json" for v in project.versions(name)]
        assert first.samefile(second)
    assert project.run() == IN_MEMORY


def test_content_behind_a_path(project, tmp_path):
    number, moved = tmp_path / "number", tmp_path / "moved"
    project.parameters["source"]["path"] = str(number)
    for text, nodes in (("3", ["read", *AFTER_READ]), ("3", IN_MEMORY), ("4", ["read", *AFTER_READ])):
        moved.write_text(text)
        os.replace(moved, number)
        assert project.run() == nodes, text
    number.write_text("04")
    assert project.run() == ["read", "prepare"]
    os.replace(number, moved)
    project.parameters["source"]["path"] = str(moved)
    assert project.run() == ["read", "prepare"]


def test_what_nobody_can_compare_runs(project, tmp_path, monkeypatch):
    number, real = tmp_path / "number", Memo.digest
    number.write_text("5")
    project.parameters["source"]["path"] = str(number)
    monkeypatch.setattr(Memo, "digest", lambda memo, path, *fs: None if path == str(number) else real(memo, path, *fs))
    assert project.run()[0] == "read"
    assert project.run() == ["read", "prepare"]


def test_back_to_old_parameters_runs_nothing_and_makes_the_old_results_the_newest(project):
    scores = {3: project.stored("score")}
    for epochs, nodes in ((9, ["prepare", "fit", "judge"]), (3, IN_MEMORY), (3, IN_MEMORY), (9, IN_MEMORY)):
        project.parameters["fit"]["epochs"] = epochs
        assert project.run() == nodes
        assert project.stored("score") == scores.setdefault(epochs, project.stored("score"))
    assert scores[3] != scores[9]


def test_old_results_do_not_pass_for_the_newest_where_a_later_run_has_saved(project, monkeypatch):
    project.parameters["fit"]["epochs"] = 9
    project.run(run_id="2026-03-01T00.00.00.000Z")
    project.parameters["fit"]["epochs"] = 3
    # it began before the other, and came to this stage after it
    monkeypatch.setattr("s10_pipeline.staleness.runner.newest_version", lambda *_: "")
    assert project.run(run_id="2026-02-01T00.00.00.000Z") == IN_MEMORY
    assert project.versions("score")[-1] == "2026-03-01T00.00.00.000Z"
    assert "2026-02-01T00.00.00.000Z" not in project.versions("score")


@pytest.mark.parametrize(
    ("stored", "run_id", "saved"),
    [
        ("2031-12-31T23.59.59.999Z", "2026-02-01T00.00.00.000Z", "2032-01-01T00.00.00.000Z"),
        ("2026-02-01T00.00.00.000Z", "2026-02-01T00.00.00.000Z", "2026-02-01T00.00.00.001Z"),
        ("2026-01-31T23.59.59.999Z", "2026-02-01T00.00.00.000Z", "2026-02-01T00.00.00.000Z"),
        ("mine", "2026-02-01T00.00.00.000Z", "mine~"),
        ("9999-12-31T23.59.59.999Z", "2026-02-01T00.00.00.000Z", "9999-12-31T23.59.59.999Z~"),
    ],
)
@pytest.mark.parametrize("node", ["fit", "judge"])
def test_a_version_is_above_all_that_are_stored_whatever_the_clock_says(project, stored, run_id, saved, node):
    name = {"fit": "model", "judge": "score"}[node]
    old = project.data / f"{name}.json" / project.versions(name)[-1]
    old.rename(old.with_name(stored))
    project.parameters["fit"]["epochs"] = 9
    assert project.run("prepare", "fit", "judge", run_id=run_id, force=True) == ["prepare", "fit", "judge"]
    assert project.versions("model")[-1] == project.versions("score")[-1] == saved


def test_a_node_with_one_output_in_memory_runs_each_time(project, monkeypatch):
    def catalog(*arguments, stored=project.catalog):
        changed = stored(*arguments)
        changed["table"] = MemoryDataset()
        return changed

    monkeypatch.setattr(project, "catalog", catalog)
    assert project.run() == AFTER_READ
    assert project.run() == ["clean", "prepare"]
    set_parameter("fit.epochs", 9)(project)
    assert project.run() == AFTER_READ


def test_each_decision_is_told_in_words(project, caplog):
    caplog.set_level(logging.INFO)
    project.parameters["fit"]["epochs"] = 4
    (project.data / "names.json").write_text("[]")
    change("summary.json/*/*.json")(project)
    project.edit("constants.py", '"a": 1', '"a": 10')
    project.run()
    said = caplog.messages
    assert "read: up to date" in said and "clean: runs, summary is missing" in said
    assert "fit: runs, fit.epochs 3 -> 4, code of constants.OFFSETS" in said
    assert "prepare: runs, prepared is only in memory" in said and "judge: runs, model changed" in said
    assert "label: runs, names changed" in said and "5 of 6 nodes ran, 1 up to date" in said


def test_the_flag_is_explained_once_in_a_checkout(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    project = SmallProject(tmp_path / "new").write()
    for _ in range(2):
        project.run()
    assert sum("missing or stale" in message for message in caplog.messages) == 1


def test_a_record_says_what_made_a_version(project):
    (record,) = project.records.of("fit")
    assert record.parts["parameters"] == {"fit.rate": 1, "fit.epochs": 3}
    assert record.about["parameters"]["fit.device"] == "cpu"
    assert record.outputs["model"]["version"] == record.run == project.versions("model")[0]
    assert set(record.about) == {"started", "seconds", "host", "device", "git", "parameters"}
    (clean,) = project.records.of("clean")
    assert clean.inputs == {"raw": project.versions("raw")[0]}
    assert clean.parts["inputs"] == {"raw": project.records.of("read")[0].outputs["raw"]["digest"]}
    assert len(json.dumps(record.parts)) < 2000


def test_load_versions_are_read_whatever_was_made_since(project, registered):
    first = project.versions("model")[0]
    project.parameters["fit"]["epochs"] = 100
    project.run()
    registered(project)
    project.run("judge", force=True, load_versions={"model": first})
    assert project.stored("score")["score"] == project.stored("model", first) - project.stored("table")
    project.run(force=True)
    project.run(load_versions={"model": first})
    assert project.stored("score")["score"] == project.stored("model", first) - project.stored("table")


def warned(caplog):
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def test_a_slice_warns_of_what_is_stale(project, registered, caplog):
    registered(project)
    caplog.set_level(logging.WARNING)
    assert project.run("judge", force=True) == ["judge"] and not warned(caplog)
    project.edit("constants.py", "FACTOR = 2", "FACTOR = 3")
    registered(project)
    assert project.run("judge") == []
    (warning,) = warned(caplog)
    assert warning.startswith("model: stale output of stage fit (code of constants.FACTOR")
    assert warning.endswith(": kedro run --only-missing-outputs")


def test_a_stored_result_goes_by_its_own_parameters(project, registered, caplog):
    caplog.set_level(logging.INFO)
    project.parameters["fit"]["epochs"] = "a, 'b'"  # Any
    project.parameters["fit"]["rate"] = 2
    project.edit("nodes.py", ' + fit["epochs"]', " + 9")
    assert project.run("prepare", "fit") == ["prepare", "fit"]
    registered(project)
    project.parameters["fit"] |= {"epochs": 3, "device": "gpu"}
    project.parameters["source"]["start"] = 1
    caplog.clear()
    with click.Context(click.Command("run")) as context:  # of a call that set this parameter again
        context.params = {"params": {"fit": {"rate": 2}}, "env": None, "conf_source": "my conf"}
        project.run("judge", "label", force=True)
    assert not warned(caplog)
    (line,) = [message for message in caplog.messages if "to use the recorded ones" in message]
    assert line.startswith("model, table: ")
    assert shlex.split(line)[-3:-1] == ["--conf-source=my conf", "--only-missing-outputs"]
    option = Params(importlib.import_module("small.params").Parameters)
    again = click.Command("run", params=[option]).make_context("run", shlex.split(line)[-1:]).params["params"]
    assert again == {"source": {"start": 5}, "fit": {"rate": 2, "epochs": "a, 'b'"}}
    project.parameters = {group: values | again.get(group, {}) for group, values in PARAMETERS.items()}
    assert project.run() == IN_MEMORY


def test_a_slice_passes_over_what_an_unfinished_run_left(project, registered, caplog):
    registered(project)
    left = project.data / "table.json" / "2026-02-01T00.00.00.000Z" / "table.json"
    left.parent.mkdir()
    left.write_text("12345")  # of a run that was killed before it saved summary
    assert project.run("judge") == []
    assert any("skipped version" in message for message in caplog.messages)
    assert project.run("judge", force=True) == ["judge"] and project.stored("score")["score"] < 100
    # the whole pipeline then makes the finished one the newest again
    assert project.run(run_id="2026-02-02T00.00.00.000Z") == IN_MEMORY
    assert project.stored("table") != 12345


@pytest.mark.parametrize("code", [True, False])
def test_what_is_edited_while_it_runs_is_recorded_if_it_is_a_comment(project, caplog, code):
    added = "\\n\\n\\ndef scale(value):\\n    return 0\\n" if code else "# and so on\\n"
    project.edit(
        "nodes.py",
        'return scale(shift(prepared)) * fit["rate"] + fit["epochs"]',
        "file = Path(__file__).with_name('deep.py')\n    "
        f"file.write_text(file.read_text() + '{added}')\n    return scale(shift(prepared))",
    )
    for epochs in (4, 5):  # the second time what is reached is remembered from the first
        project.parameters["fit"]["epochs"] = epochs
        assert project.run()[:2] == ["prepare", "fit"]
        assert any("edited during the run" in message for message in caplog.messages) == code
        assert code or project.run() == IN_MEMORY


def test_without_records_it_is_kedros_own_runner(project, caplog):
    catalog = project.catalog("2026-03-01T00.00.00.000Z")
    del catalog._lazy_datasets["records"]
    pipeline = project.pipeline()
    project.runner().run(pipeline, catalog, run_id="2026-03-01T00.00.00.000Z", only_missing_outputs=True)
    assert any("nothing is recorded" in message for message in caplog.messages)
    assert len(project.versions("score")) == 1


@pytest.mark.parametrize("only_missing", [True, False])
@pytest.mark.parametrize("place", ["s3://bucket/.records", "memory://.records", "gs://x"])
def test_where_records_cannot_be_kept_every_stage_runs_and_it_is_told_first(project, caplog, place, only_missing):
    caplog.set_level(logging.INFO)
    catalog = project.catalog("2026-03-01T00.00.00.000Z")
    catalog["records"] = RecordsDataset(filepath=place)
    caplog.clear()
    run_id = "2026-03-01T00.00.00.000Z"
    project.runner().run(project.pipeline(), catalog, run_id=run_id, only_missing_outputs=only_missing)
    assert "every stage runs" in caplog.messages[0]
    assert all(len(project.versions(name)) == 2 for name in ("raw", "model", "score", "labels"))


def test_without_records_too_a_run_reads_what_it_made_itself(project):
    earlier, later = "2026-03-01T00.00.00.000Z", "2026-03-02T00.00.00.000Z"

    def run(version, fit):
        catalog = project.catalog(version)
        catalog["records"] = RecordsDataset(filepath="memory://.records")
        judge = node(lambda model, table: [model, table], ["model", "table"], "score", name="judge")
        project.runner().run(Pipeline([node(fit, None, "model", name="fit"), judge]), catalog, run_id=version)

    def fit():  # meanwhile, another run starts and saves everything, also a new table
        project.catalog(later).save("table", -1)
        run(later, lambda: "of another run")
        return "own"

    project.pipeline()
    table = project.stored("table")
    run(earlier, fit)
    assert project.stored("score", earlier) == ["own", table]
    assert project.stored("score", later) == ["of another run", -1]


def test_loading_and_saving_in_threads(project):
    run_id = "2026-03-01T00.00.00.000Z"
    pipeline = project.pipeline()
    project.runner(is_async=True).run(pipeline, project.catalog(run_id), run_id=run_id)
    assert project.versions("score")[-1] == run_id
    assert project.run(run_id="2026-03-02T00.00.00.000Z") == IN_MEMORY
