from types import SimpleNamespace

import click
import pytest

from s10_pipeline.staleness.commands.options import open_records
from s10_pipeline.staleness.records import RecordsDataset


def test_records_on_a_remote_disk_are_an_error():
    catalog = SimpleNamespace(load=lambda name: RecordsDataset(filepath="s3://x/records").load())
    with pytest.raises(click.ClickException, match="records: "):
        open_records(catalog)
