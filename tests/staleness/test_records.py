"""Records on the disk, and who may run at once."""

import json
import logging
import os

import pytest

from s10_pipeline.staleness.records import Record, RecordStore


def record(node: str, run: str) -> Record:
    return Record(node, run, {"code": {"f": "1"}}, {"x": None}, {"y": {"version": run, "digest": "d"}})


def test_records_come_back_newest_first(tmp_path):
    store = RecordStore(tmp_path)
    written = [record("a", "2026-01"), record("b", "2026-03"), record("a", "2026-02")]
    for one in written:
        store.add(one)
    again = RecordStore(tmp_path)
    assert again.all() == [written[1], written[2], written[0]]
    assert again.of("a") == [written[2], written[0]]


def test_names_that_kedro_makes_up_are_names_of_folders(tmp_path):
    store = RecordStore(tmp_path)
    store.add(record("f([a;b]) -> [c/d]", "1"))
    assert [one.node for one in RecordStore(tmp_path).all()] == ["f([a;b]) -> [c/d]"]
    assert len(store.path_of(record("f" * 999, "1")).parent.name) <= 255


def test_what_cannot_be_read_or_written_costs_one_record(tmp_path, caplog, monkeypatch):
    store = RecordStore(tmp_path)
    store.add(record("a", "1"))
    store.path_of(record("a", "2")).write_text("{")
    os.mkfifo(store.path_of(record("a", "3")))
    with caplog.at_level(logging.WARNING):
        assert [one.run for one in store.all()] == ["1"]
        monkeypatch.setattr("s10_pipeline.staleness.records.write_text", lambda *_: (_ for _ in ()).throw(OSError))
        store.add(record("b", "3"))
    assert len(caplog.messages) == 3
    assert "2.json" in "".join(caplog.messages[:2]) and "3.json" in "".join(caplog.messages[:2])
    assert caplog.messages[2].startswith("b: ")


@pytest.mark.parametrize(
    "wrong",
    [
        {"run": "../../../precious"}, {"run": ".."}, {"run": ""}, {"run": "/etc/x"}, {"run": "a\\b"}, {"run": 5},
        {"node": ".."}, {"node": ["a"]}, {"outputs": {"y": {"version": "../x"}}}, {"outputs": {"y": "1"}},
        {"outputs": []}, {"inputs": {"x": ".."}}, {"same_as": "../1"}, {"parts": []}, {"parts": {"code": 1}},
        {"about": None}, {"outputs": {"y": {"digest": 5}}},
    ],
)  # fmt: skip
def test_a_record_of_another_shape_is_passed_over(tmp_path, caplog, wrong):
    store = RecordStore(tmp_path)
    store.add(record("a", "1"))
    written = json.loads(store.path_of(record("a", "1")).read_text())
    for text in (json.dumps(written | wrong), json.dumps([written]), "null"):
        store.path_of(record("a", "2")).write_text(text)
        assert [one.run for one in RecordStore(tmp_path).all()] == ["1"]
        assert "2.json" in caplog.messages[-1]


def test_those_who_prune_see_who_runs(tmp_path):
    store = RecordStore(tmp_path)
    with store.running("1"):
        with store.alone() as going_on:
            assert going_on == ["1"]
        with store.running("1") as other:
            assert other != "1", "two began in the same millisecond"
    (tmp_path / "running/2.lock").touch()  # a run that was killed
    with store.alone() as going_on:
        assert going_on == []


def test_what_killed_runs_left_goes_at_the_next_start(tmp_path):
    store = RecordStore(tmp_path / ".records")
    arrays, partial = tmp_path / "02" / "arrays", f".x.npy.{os.getpid()}.partial"
    arrays.mkdir(parents=True)
    with store.running("1"):
        (arrays / partial).touch()
        (store.folder / "running" / "0.lock").touch()
        with store.running("2"):
            assert sorted(p.name for p in store.folder.glob("running/*")) == ["1.lock", "2.lock"]
            assert (arrays / partial).exists(), "the first run may be writing it"
    other = tmp_path / "sample" / "02"
    for folder in (other, other.parent / ".records"):
        folder.mkdir(parents=True)
    (other / partial).touch()
    with store.running("3"):
        assert not list(arrays.iterdir())
        assert (other / partial).exists(), "a run of another environment may be writing it"
