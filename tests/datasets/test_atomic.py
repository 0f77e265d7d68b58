import os

import pytest
from kedro.io import DatasetError
from kedro.io.core import Version

from s10_pipeline.datasets.html import HTMLDataset


@pytest.mark.parametrize("name", ["run[1]", "a*b", "what?", "{x,y}", "[!a]", "[", "plain"])
@pytest.mark.parametrize("place", ["", "memory://"])
def test_a_path_is_no_pattern(tmp_path, place, name):
    folder = f"{place}{tmp_path}/{name}"
    for version in ("2026-01-01T00.00.00.000Z", "2026-01-02T00.00.00.000Z"):
        HTMLDataset(filepath=f"{folder}/{name}.html", version=Version(None, version)).save(version)
    page = HTMLDataset(filepath=f"{folder}/{name}.html", version=Version(None, None))
    assert page.exists() and page.load() == "2026-01-02T00.00.00.000Z"
    assert page.list_versions(full_path=False) == ["2026-01-02T00.00.00.000Z", "2026-01-01T00.00.00.000Z"]
    assert HTMLDataset(filepath=f"{folder}/none.html", version=Version(None, None)).list_versions() == []


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: os.symlink("/dev/zero", path)])
def test_what_is_no_file_is_not_waited_for(tmp_path, make):
    make(tmp_path / "page.html")
    with pytest.raises(DatasetError, match="not a regular file"):
        HTMLDataset(filepath=str(tmp_path / "page.html")).load()


def test_what_kedro_viz_shows_names_no_folder_above_this_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert HTMLDataset(filepath=str(tmp_path / "data/page.html"))._describe()["filepath"] == "data/page.html"
