from pathlib import Path

import pytest

from s10_pipeline.configuration import folder_from_environment


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
    ],
)
def test_a_folder_is_relative_to_the_working_directory(value, folder, monkeypatch):
    monkeypatch.delenv("S10_DATA_ROOT", raising=False)
    if value is not None:
        monkeypatch.setenv("S10_DATA_ROOT", value)
    assert folder_from_environment("S10_DATA_ROOT", "data") == folder
