"""Types of kedro-datasets: as they are, but saved atomically and imported late."""

import json
import subprocess
import sys

import pandas as pd
import pytest
from kedro.io import DatasetError
from kedro.io.core import Version
from matplotlib.figure import Figure

from s10_pipeline.datasets import kedro_types

TABLE = pd.DataFrame({"index": [1, 2, 3, 4, 5, 6, 7], "name": ["a", "NA", None, "d", "e", "f", "g"]})
TYPES = {
    "JSONDataset": ("x.json", {"a": [1, 2.5, None]}),
    "CSVDataset": ("x.csv", TABLE),
    "ParquetDataset": ("x.parquet", TABLE),
}


def figure() -> Figure:
    drawn = Figure(figsize=(2, 1))
    drawn.subplots().plot([1, 2, 3])
    return drawn


@pytest.mark.parametrize("place", ["{tmp}/", "memory://bucket/"])
@pytest.mark.parametrize("name", TYPES)
def test_what_was_saved_comes_back(tmp_path, name, place):
    file, value = TYPES[name]
    dataset = getattr(kedro_types, name)(filepath=place.format(tmp=tmp_path) + file, version=Version(None, None))
    dataset.save(value)
    loaded = dataset.load()
    assert loaded == value if isinstance(value, dict) else loaded["index"].tolist() == value["index"].tolist()


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


def test_previews(tmp_path):
    for name in ("CSVDataset", "ParquetDataset"):
        dataset = getattr(kedro_types, name)(filepath=str(tmp_path / name))
        dataset.save(TABLE)
        assert dataset.preview()["columns"] == ["index", "name"]
        assert [len(dataset.preview()["data"]), len(dataset.preview(nrows=2)["data"])] == [5, 2]
    dataset = kedro_types.JSONDataset(filepath=str(tmp_path / "x.json"))
    dataset.save({"a": 1})
    assert json.loads(dataset.preview()) == {"a": 1}
    plot = kedro_types.MatplotlibDataset(filepath=str(tmp_path / "x.png"))
    plot.save(figure())
    assert plot.preview().startswith("iVBOR")
    with pytest.raises(DatasetError, match="Loading not supported"):
        plot.load()


@pytest.mark.parametrize("name", [*TYPES, "MatplotlibDataset"])
def test_equal_data_are_equal_bytes(tmp_path, name):
    file, value = TYPES.get(name, ("x.png", None))
    paths = [tmp_path / number / file for number in "12"]
    for path in paths:
        getattr(kedro_types, name)(filepath=str(path)).save(figure() if value is None else value)
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_neither_pandas_nor_matplotlib_is_imported_to_open_a_catalog(tmp_path):
    code = (
        "import sys; from s10_pipeline.datasets import kedro_types as k; from kedro.io.core import Version; "
        "[t(filepath='x/y', version=Version(None, None)).exists() for t in "
        "(k.JSONDataset, k.CSVDataset, k.ParquetDataset, k.MatplotlibDataset)]; "
        "loaded = {'pandas', 'matplotlib', 'pyarrow'} & set(sys.modules); assert not loaded, loaded"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
