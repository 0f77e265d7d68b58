"""What may go, on versions and records of made-up runs."""

import os
from datetime import UTC, datetime, timedelta

from s10_pipeline.staleness.commands.prune import _freed_bytes, _newest, _with_what_made_them
from s10_pipeline.staleness.records import Record


def record(node: str, run: str, inputs: dict[str, str], outputs: list[str]) -> Record:
    parts = {"code": {"c": "1"}, "inputs": {}}
    return Record(node, run, parts, inputs, {name: {"version": run, "digest": "d"} for name in outputs})


# images -> model, history -> metrics; the third training used the first images, the last evaluation the second model
RECORDS = [
    record("ingest", "1", {}, ["images"]),
    record("train", "1", {"images": "1"}, ["model", "history"]),
    record("ingest", "2", {}, ["images"]),
    record("train", "2", {"images": "2"}, ["model", "history"]),
    record("train", "3", {"images": "1"}, ["model", "history"]),
    record("evaluate", "4", {"model": "2", "names": None}, ["metrics"]),
]
VERSIONS = {
    "images": ["2", "1"], "model": ["3", "2", "1"], "history": ["3", "2", "1"], "metrics": ["4"],
}  # fmt: skip


def removed(keep: set[tuple[str, str]]) -> set[str]:
    return {f"{name} {v}" for name, found in VERSIONS.items() for v in found} - {f"{n} {v}" for n, v in keep}


def test_what_a_kept_version_was_made_from_stays():
    newest = _newest(VERSIONS, 1, None)
    assert newest == {("images", "2"), ("model", "3"), ("history", "3"), ("metrics", "4")}
    # images 1 stay for model 3; model 2 and what was saved with it for the metrics
    assert removed(_with_what_made_them(newest, RECORDS)) == {"model 1", "history 1"}
    assert removed(_with_what_made_them(_newest(VERSIONS, 3, None), RECORDS)) == set()
    # what nobody recorded goes by its place alone
    assert _with_what_made_them(newest, []) == newest


def test_days():
    ages = (0.5, 2.5, 9.5)
    times = [(datetime.now(UTC) - timedelta(days=d)).strftime("%Y-%m-%dT%H.%M.%S.000Z") for d in ages]
    assert _newest({"x": times}, None, 3) == {("x", times[0]), ("x", times[1])}
    assert _newest({"x": times}, None, 0) == {("x", times[0])}, "the newest always stays"
    assert _newest({"x": times}, 2, 1) == {("x", times[0]), ("x", times[1])}
    assert _newest({"x": times}, 1, 3) == {("x", times[0]), ("x", times[1])}


def test_linked_files_free_nothing_until_the_last_goes(tmp_path):
    folders = [tmp_path / name for name in "abc"]
    for folder in folders:
        folder.mkdir()
    (folders[0] / "x").write_bytes(b"1234")
    os.link(folders[0] / "x", folders[1] / "x")
    (folders[2] / "y").write_bytes(b"12")
    assert _freed_bytes([folders[0]]) == 0 and _freed_bytes([folders[0], folders[2]]) == 2
    assert _freed_bytes([folders[0], folders[1], folders[2] / "y"]) == 6
