import shutil
from pathlib import Path

import pytest

from s10_pipeline.configuration import CONFIG_LOADER_ARGS, ConfigLoader, folder_from_environment


@pytest.mark.parametrize(
    ("value", "folder"),
    [
        (None, "data"),
        ("", "data"),
        ("s3://bucket/data", "s3://bucket/data"),
        ("~/runs", str(Path.home() / "runs")),
        ("runs", str(Path.cwd() / "runs")),
        ("../runs/", str(Path.cwd().parent / "runs")),
        ("/runs", "/runs"),
        ("file:///runs", "/runs"),
    ],
)
def test_a_folder_is_relative_to_the_working_directory(value, folder, monkeypatch):
    monkeypatch.delenv("S10_DATA_ROOT", raising=False)
    if value is not None:
        monkeypatch.setenv("S10_DATA_ROOT", value)
    assert folder_from_environment("S10_DATA_ROOT", "data") == folder


@pytest.mark.parametrize("name", ["run[1]", "a*b", "what?", "[!x]/**", "[", "plain"])
def test_a_checkout_may_lie_in_any_folder(root, tmp_path, name):
    shutil.copytree(root / "conf", tmp_path / name / "conf")
    (tmp_path / "run1/conf/sample").mkdir(parents=True)  # what the name would mean as a pattern
    here, there = (ConfigLoader(str(p / "conf"), env="sample", **CONFIG_LOADER_ARGS) for p in (root, tmp_path / name))
    for kind in ("parameters", "catalog", "globals"):
        assert there[kind] == here[kind] != {}
