from types import SimpleNamespace

import click
import pytest

from s10_pipeline.staleness.commands.options import open_records, run_command
from s10_pipeline.staleness.records import RecordsDataset


def test_parameters_may_come_from_a_file(tmp_path):
    (tmp_path / "run.yml").write_text("run:\n  params:\n    a: {b: [1, 2]}\n")
    options = run_command("my.Runner").make_context("run", [f"--config={tmp_path / 'run.yml'}"]).params
    assert options["params"] == {"a": {"b": [1, 2]}}


def test_records_on_a_remote_disk_are_an_error():
    catalog = SimpleNamespace(load=lambda name: RecordsDataset(filepath="s3://x/records").load())
    with pytest.raises(click.ClickException, match="records: "):
        open_records(catalog)
