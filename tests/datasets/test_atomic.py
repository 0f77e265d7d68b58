import os
from pathlib import Path

import pandas as pd
import pytest
from kedro.io import DatasetError
from kedro.io.core import Version
from matplotlib.figure import Figure

from s10_pipeline.datasets import kedro_types
from s10_pipeline.datasets.atomic import AtomicDataset
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


# each of kedro-datasets' types is saved by a subclass, which might save by itself
SAVED = {
    HTMLDataset: PAGE, kedro_types.JSONDataset: {"a": 1}, kedro_types.CSVDataset: pd.DataFrame({"a": [1]}),
    kedro_types.ParquetDataset: pd.DataFrame({"a": [1]}), kedro_types.MatplotlibDataset: Figure(),
}  # fmt: skip


@pytest.mark.parametrize("name", ["run[1]", "a*b", "what?", "{x,y}", "[!a]", "[", "plain"])
@pytest.mark.parametrize("place", ["", "memory://"])
def test_a_path_is_no_pattern(tmp_path, place, name):
    folder = f"{place}{tmp_path}/{name}"
    for version in ("2026-01-01T00.00.00.000Z", "2026-01-02T00.00.00.000Z"):
        HTMLDataset(filepath=f"{folder}/{name}.html", version=Version(None, version)).save(version)
    page = HTMLDataset(filepath=f"{folder}/{name}.html", version=Version(None, None))
    assert page.exists()
    assert page.load() == "2026-01-02T00.00.00.000Z"
    assert page.list_versions(full_path=False) == ["2026-01-02T00.00.00.000Z", "2026-01-01T00.00.00.000Z"]
    assert HTMLDataset(filepath=f"{folder}/none.html", version=Version(None, None)).list_versions() == []


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: os.symlink("/dev/zero", path)])
def test_what_is_no_file_is_not_waited_for(tmp_path, make):
    make(tmp_path / "page.html")
    with pytest.raises(DatasetError, match="not a regular file"):
        dataset(tmp_path).load()


@pytest.mark.parametrize("broken", ["fsync", "replace"])
@pytest.mark.parametrize("kind", SAVED)
def test_a_save_that_breaks_leaves_no_version_behind(tmp_path, monkeypatch, broken, kind):
    def at(load: str | None, save: str | None) -> AtomicDataset:
        return kind(filepath=str(tmp_path / "x.png"), version=Version(load, save))

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    at(None, "2026-01-01T00.00.00.000Z").save(SAVED[kind])
    monkeypatch.setattr(os, broken, fail)
    with pytest.raises(DatasetError, match="No space left"):
        at(None, "2026-01-02T00.00.00.000Z").save(SAVED[kind])
    monkeypatch.undo()
    assert at(None, None).resolve_load_version() == "2026-01-01T00.00.00.000Z"
    assert not list(tmp_path.rglob("*.partial"))


def test_the_preview_is_one_line(tmp_path):
    page = dataset(tmp_path)
    page.save(PAGE)
    preview = page.preview()
    assert "\n" not in preview
    assert "Report: 90 %" in preview
    assert "25 mistakes" in preview


def test_what_kedro_viz_shows_names_no_folder_above_this_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert HTMLDataset(filepath=str(tmp_path / "data/page.html"))._describe()["filepath"] == "data/page.html"
