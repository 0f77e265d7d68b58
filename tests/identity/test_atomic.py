"""A file is the old one or the new one, whatever happens while it is written."""

import os

import pytest

from s10_pipeline.identity.atomic import replacing, write_text


def test_the_new_file_appears_whole_at_the_end(tmp_path):
    target = tmp_path / "folder" / "file.txt"
    write_text(target, "old")
    with replacing(target) as partial:
        partial.write_text("ne")
        assert target.read_text() == "old"
        partial.write_text("new ä", encoding="utf-8")
    assert target.read_text(encoding="utf-8") == "new ä"
    assert os.listdir(target.parent) == ["file.txt"]


@pytest.mark.parametrize("broken", ["write", "fsync", "replace"])
def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, broken):
    target = tmp_path / "file.txt"
    write_text(target, "old")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    if broken != "write":
        monkeypatch.setattr(os, broken, fail)
    with pytest.raises(OSError, match="No space left"), replacing(target) as partial:  # noqa: PT012
        partial.write_text("new")
        if broken == "write":
            fail()
    monkeypatch.undo()
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["file.txt"]
