"""Digests of what is stored, and when they are remembered."""

import os

import fsspec
import pytest
from kedro.io.core import Version

from s10_pipeline.caching import contents
from s10_pipeline.caching.contents import Memo, content_of, link_version
from s10_pipeline.datasets.image_set import ImageSetDataset
from s10_pipeline.datasets.kedro_types import JSONDataset

OLD = 1_000_000_000


@pytest.fixture
def counted(monkeypatch):
    """Names of files that were read to be hashed."""
    hashed: list[str] = []
    real = contents._hash_file
    monkeypatch.setattr(
        contents, "_hash_file", lambda path, fs: hashed.append(os.path.basename(path)) or real(path, fs)
    )
    monkeypatch.setattr(contents, "SETTLED_SECONDS", -1.0)
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


def test_other_file_systems_have_digests_too(tmp_path):
    memo = Memo(tmp_path / "memo.json")
    # that file system is the whole process's: a name that no other test takes
    dataset = JSONDataset(filepath="memory://there/digested.json", version=Version(None, "1"))
    assert content_of(dataset, "1", memo).digest is None
    dataset.save({"a": 1})
    local = JSONDataset(filepath=str(tmp_path / "x.json"), version=Version(None, "1"))
    local.save({"a": 1})
    assert content_of(dataset, "1", memo).digest == content_of(local, "1", memo).digest
    fsspec.filesystem("memory").pipe("/digested.json/1/digested.json", b"[]")
    assert content_of(dataset, "1", memo).digest != content_of(local, "1", memo).digest


def test_an_image_set_is_there_only_with_its_arrays(shapes, tmp_path):
    dataset = ImageSetDataset(filepath=str(tmp_path / "images.json"), version=Version(None, "1"))
    dataset.save(shapes[0])
    memo = Memo(tmp_path / "memo.json")
    assert content_of(dataset, "1", memo).digest is not None
    next((tmp_path / "arrays").iterdir()).unlink()
    assert content_of(dataset, "1", memo).digest is None


def test_where_the_disk_cannot_link_a_copy_stays(tmp_path, monkeypatch):
    dataset = JSONDataset(filepath=str(tmp_path / "x"), version=Version(None, None))
    old, new = [tmp_path / "x" / version / "x" for version in ("old", "new")]
    for path in (old, new):
        path.parent.mkdir(parents=True)
        path.write_text("same")

    def cannot(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    with monkeypatch.context() as patch:
        patch.setattr(os, "link", cannot)
        assert not link_version(dataset, "old", "new")
    assert new.read_text() == "same"
    assert not new.samefile(old)
    assert link_version(dataset, "old", "new")
    assert new.samefile(old)
