"""Digests of files and folders, and when they are remembered."""

import os

import pytest

from s10_pipeline.identity import digests
from s10_pipeline.identity.digests import Memo, digest_of


@pytest.fixture
def counted(monkeypatch):
    """Names of files that were read to be hashed."""
    hashed: list[str] = []
    real = digests._hash_file
    monkeypatch.setattr(digests, "_hash_file", lambda path, fs: hashed.append(os.path.basename(path)) or real(path, fs))
    monkeypatch.setattr(digests, "SETTLED_SECONDS", -1.0)
    return hashed


def test_a_file_is_hashed_once_until_it_changes(tmp_path, counted):
    file = tmp_path / "file"
    file.write_text("abc")
    for _ in range(2):
        memo = Memo(tmp_path / "memo.json")
        first = memo.digest(str(file))
        memo.save()
    assert counted == ["file"]
    assert first == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    times = file.stat()
    file.write_text("abd")  # as long, and made to look as old
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert Memo(tmp_path / "memo.json").digest(str(file)) != first


def test_what_was_just_written_is_not_trusted(tmp_path):
    file = tmp_path / "file"
    file.write_text("abc")
    memo = Memo(tmp_path / "memo.json")
    memo.digest(str(file))
    memo.save()
    assert not (tmp_path / "memo.json").exists()


def test_a_folder_is_its_names_and_contents(tmp_path, counted):
    folder = tmp_path / "folder"
    (folder / "a").mkdir(parents=True)
    for name in ("a/1", "2"):
        (folder / name).write_text(name)
    memo = Memo(tmp_path / "memo.json")
    before = memo.digest(str(folder))
    assert memo.digest(str(folder)) == before
    assert sorted(counted) == ["1", "2"]
    (folder / "2").rename(folder / "3")
    assert memo.digest(str(folder)) != before
    (folder / "3").rename(folder / "2")
    assert memo.digest(str(folder)) == before
    assert memo.digest(str(tmp_path / "none")) is None


def test_what_does_not_end_is_not_hashed(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "file").touch()
    memo = Memo(tmp_path / "memo.json")
    before = memo.digest(str(folder))
    os.mkfifo(folder / "pipe")
    (folder / "zero").symlink_to("/dev/zero")
    assert memo.digest(str(folder)) not in (None, before)
    os.truncate(folder / "file", 2**40)
    assert memo.digest(str(folder)) is None
    os.mkfifo(tmp_path / "memo")
    assert Memo(tmp_path / "memo").digest(str(tmp_path / "memo")) is None


def test_digests_depend_on_content_alone():
    assert digest_of({"a": 1, "b": [2.5]}) == digest_of({"b": [2.5], "a": 1})
    assert digest_of({"a": 1}) != digest_of({"a": 2})
