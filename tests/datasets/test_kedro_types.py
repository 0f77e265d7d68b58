"""Types of kedro-datasets: as they are, but imported late; test_round_trips.py saves them."""

import subprocess
import sys

import pandas as pd

from s10_pipeline.datasets import kedro_types

TABLE = pd.DataFrame({"index": [1, 2, 3], "name": ["a", "NA", None]})


def test_arguments_reach_pandas(tmp_path):
    dataset = kedro_types.CSVDataset(
        filepath=str(tmp_path / "x.csv"),
        load_args={"keep_default_na": False, "na_values": [""]},
        save_args={"index": False, "sep": ";"},
    )
    dataset.save(TABLE)
    assert (tmp_path / "x.csv").read_text().startswith("index;name\n")
    dataset = kedro_types.CSVDataset(
        filepath=str(tmp_path / "x.csv"), load_args={"sep": ";", "keep_default_na": False, "na_values": [""]}
    )
    assert dataset.load()["name"].tolist()[1] == "NA"
    assert len(dataset.preview(nrows=2)["data"]) == 2


def test_neither_pandas_nor_matplotlib_is_imported_to_open_a_catalog(tmp_path):
    code = (
        "import sys; from s10_pipeline.datasets import kedro_types as k; from kedro.io.core import Version; "
        "[t(filepath='x/y', version=Version(None, None)).exists() for t in "
        "(k.JSONDataset, k.CSVDataset, k.ParquetDataset, k.MatplotlibDataset)]; "
        "loaded = {'pandas', 'matplotlib', 'pyarrow'} & set(sys.modules); assert not loaded, loaded"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
