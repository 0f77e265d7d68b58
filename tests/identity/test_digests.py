"""Digests of files and folders, and when they are remembered."""

import os

import pytest

from s10_pipeline.identity import digests
from s10_pipeline.identity.digests import Memo, digest_of


@pytest.fixture
def counted(monkeypatch):
    """Names of files that were read to be hashed."""
    hashed: list[str] = []
    real = digests.hash_file
    monkeypatch.setattr(digests, "hash_file", lambda path, fs: hashed.append(os.path.basename(path)) or real(path, fs))
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


@pytest.mark.parametrize(
    "damage", [lambda text: "[]", lambda text: text[:9], lambda text: text.replace("ba78", "ba79")]
)
def test_a_memo_that_was_changed_is_computed_anew(tmp_path, counted, damage):
    file, stored = tmp_path / "file", tmp_path / "memo.json"
    file.write_text("abc")
    memo = Memo(stored)
    memo.digest(str(file))
    memo.save()
    stored.write_text(damage(stored.read_text()))
    assert Memo(stored).digest(str(file)).startswith("ba7816bf") and counted == ["file", "file"]


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
    assert memo.digest(str(folder)) == before and sorted(counted) == ["1", "2"]
    (folder / "2").rename(folder / "3")
    assert memo.digest(str(folder)) != before
    (folder / "3").rename(folder / "2")
    assert memo.digest(str(folder)) == before and memo.digest(str(tmp_path / "none")) is None


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "1.png").write_text("other"),
        lambda folder: (folder / "2.png").write_text("new"),
        lambda folder: (folder / "linked/2.png").write_text("new"),
        lambda folder: os.replace(folder / "../equal", folder / "../target"),  # of equal size and times
        lambda folder: (folder / "../nowhere").write_text("now there"),
        lambda folder: (folder / "to_nowhere").unlink(),
        lambda folder: (folder / "again").symlink_to("linked"),
    ],
)
def test_links_count_as_what_they_lead_to(tmp_path, counted, change):
    folder, memo = tmp_path / "folder", Memo(tmp_path / "memo.json")
    for name in ("folder/1.png", "elsewhere/1.png", "target", "equal"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name[0])
        os.utime(tmp_path / name, (1, 1))
    for name, target in {"to_file": "target", "to_nowhere": "nowhere", "linked": "elsewhere"}.items():
        (folder / name).symlink_to(tmp_path / target)
    before = memo.digest(str(folder))
    assert before is not None and memo.digest(str(folder)) == before
    change(folder)
    assert memo.digest(str(folder)) not in (before, None)


@pytest.mark.parametrize(
    "make",
    [os.mkfifo, lambda path: path.symlink_to("/dev/zero"), lambda path: path.symlink_to("."),
     lambda path: os.truncate(path.touch() or path, 2**40)],
)  # fmt: skip
def test_what_cannot_be_read_to_its_end_has_no_digest(tmp_path, make):
    (tmp_path / "1.png").write_text("1")
    make(tmp_path / "2.png")
    os.mkfifo(tmp_path.with_name("memo"))
    assert Memo(tmp_path.with_name("memo")).digest(str(tmp_path)) is None
    os.unlink(tmp_path.with_name("memo"))


def test_digests_depend_on_content_alone():
    assert digest_of({"a": 1, "b": [2.5]}) == digest_of({"b": [2.5], "a": 1})
    assert digest_of({"a": 1}) != digest_of({"a": 2})
