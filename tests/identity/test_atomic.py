"""A file is the old one or the new one, whatever happens while it is written."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from unittest.mock import Mock

import pytest

from s10_pipeline.identity.atomic import remove_leftovers, replacing, write_text


def test_the_new_file_appears_whole_at_the_end(tmp_path):
    target = tmp_path / "folder" / "file.txt"
    write_text(target, "old")
    with replacing(target) as partial:
        partial.write_text("ne")
        assert target.read_text() == "old"
        partial.write_text("new ä", encoding="utf-8")
    assert target.read_text(encoding="utf-8") == "new ä" and os.listdir(target.parent) == ["file.txt"]


def test_threads_of_one_process_write_one_file_at_once(tmp_path):
    with ThreadPoolExecutor(2) as pool:  # each call raises if the other took its partial file
        assert [*pool.map(lambda text: write_text(tmp_path / "file.txt", text), ["same"] * 200)] == [None] * 200
    assert os.listdir(tmp_path) == ["file.txt"]


@pytest.mark.parametrize("broken", ["write", "fsync", "replace"])
def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, broken):
    target = tmp_path / "file.txt"
    write_text(target, "old")
    fail = Mock(side_effect=OSError(28, "No space left on device"))
    if broken != "write":
        monkeypatch.setattr(os, broken, fail)
    with pytest.raises(OSError, match="No space left"), replacing(target) as partial:  # noqa: PT012
        partial.write_text("new")
        if broken == "write":
            fail()
    monkeypatch.undo()
    assert target.read_text() == "old" and os.listdir(tmp_path) == ["file.txt"]


def test_leftovers_of_killed_processes_go(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    stay = [f".a.npy.{os.getppid()}.partial", "a.partial", ".b.partial", ".c.npy.x.partial"]
    go = [f".a.npy.5e1f.{ended.pid}.partial", f".b.json.{os.getpid()}.partial", ".c.d.99999999999.partial"]
    (tmp_path / "deep" / "er").mkdir(parents=True)
    for name in (*stay, *go):
        for folder in (tmp_path, tmp_path / "deep" / "er"):
            (folder / name).touch()
    remove_leftovers(tmp_path, apart=".records")
    assert sorted({p.name for p in tmp_path.rglob("*") if p.is_file()}) == sorted(stay)
