import os
from pathlib import Path

import pytest
from kedro.io import DatasetError
from kedro.io.core import Version

from s10_pipeline.datasets.html import HTMLDataset

PAGE = '<html><head><title>Report:\n 90 %</title><meta name="description" content="25 mistakes"></head></html>'


def dataset(folder: Path, version: Version | None = None) -> HTMLDataset:
    return HTMLDataset(filepath=str(folder / "page.html"), version=version)


def test_round_trip_with_and_without_versions(tmp_path):
    for version in (None, Version(None, None)):
        page = dataset(tmp_path / str(version is None), version)
        page.save(PAGE)
        assert page.load() == PAGE


def test_the_latest_version_is_loaded_or_the_one_that_is_named(tmp_path):
    for name in ("2026-01-01T00.00.00.000Z", "2026-01-02T00.00.00.000Z"):
        dataset(tmp_path, Version(None, name)).save(name)
    assert dataset(tmp_path, Version(None, None)).load() == "2026-01-02T00.00.00.000Z"
    assert dataset(tmp_path, Version("2026-01-01T00.00.00.000Z", None)).load() == "2026-01-01T00.00.00.000Z"
    with pytest.raises(DatasetError):
        dataset(tmp_path / "empty", Version(None, None)).load()


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: os.symlink("/dev/zero", path)])
def test_what_is_no_file_is_not_waited_for(tmp_path, make):
    make(tmp_path / "page.html")
    with pytest.raises(DatasetError, match="not a regular file"):
        dataset(tmp_path).load()


@pytest.mark.parametrize("broken", ["write", "replace"])
def test_a_save_that_breaks_leaves_no_version_behind(tmp_path, monkeypatch, broken):
    dataset(tmp_path, Version(None, "2026-01-01T00.00.00.000Z")).save(PAGE)

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, {"write": "fsync", "replace": "replace"}[broken], fail)
    with pytest.raises(DatasetError, match="No space left"):
        dataset(tmp_path, Version(None, "2026-01-02T00.00.00.000Z")).save("half")
    monkeypatch.undo()
    assert dataset(tmp_path, Version(None, None)).load() == PAGE
    assert not [p for p in tmp_path.rglob("*") if p.name.endswith(".partial")]


def test_the_preview_is_one_line(tmp_path):
    page = dataset(tmp_path)
    page.save(PAGE)
    preview = page.preview()
    assert "\n" not in preview
    assert "Report: 90 %" in preview
    assert "25 mistakes" in preview
