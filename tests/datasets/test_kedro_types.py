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
    if isinstance(value, dict):
        assert loaded == value
    else:
        assert loaded["index"].tolist() == value["index"].tolist()


def test_arguments_reach_pandas(tmp_path):
    dataset = kedro_types.CSVDataset(
        filepath=str(tmp_path / "x.csv"),
        load_args={"keep_default_na": False, "na_values": [""]},
        save_args={"index": False, "sep": ";"},
        fs_args={"open_args_save": {"mode": "w", "encoding": "utf-8"}},
    )
    dataset.save(TABLE)
    assert (tmp_path / "x.csv").read_text().startswith("index;name\n")
    dataset = kedro_types.CSVDataset(
        filepath=str(tmp_path / "x.csv"), load_args={"sep": ";", "keep_default_na": False, "na_values": [""]}
    )
    assert dataset.load()["name"].tolist()[1] == "NA"


def test_previews(tmp_path):
    for name, rows in (("CSVDataset", 5), ("ParquetDataset", 5)):
        dataset = getattr(kedro_types, name)(filepath=str(tmp_path / TYPES[name][0]))
        dataset.save(TABLE)
        preview = dataset.preview()
        assert preview["columns"] == ["index", "name"]
        assert len(preview["data"]) == rows
        assert len(dataset.preview(nrows=2)["data"]) == 2
    dataset = kedro_types.JSONDataset(filepath=str(tmp_path / "x.json"))
    dataset.save({"a": 1})
    assert json.loads(dataset.preview()) == {"a": 1}
    plot = kedro_types.MatplotlibDataset(filepath=str(tmp_path / "x.png"))
    plot.save(figure())
    assert plot.preview().startswith("iVBOR")
    with pytest.raises(DatasetError, match="Loading not supported"):
        plot.load()


@pytest.mark.parametrize(
    ("name", "hint"), [("JSON", "JSON"), ("CSV", "Table"), ("Parquet", "Table"), ("Matplotlib", "Image")]
)
def test_kedro_viz_knows_the_kind_of_preview(name, hint):
    annotations = getattr(kedro_types, f"{name}Dataset").preview.__annotations__
    assert annotations["return"].__name__ == f"{hint}Preview"


def test_equal_data_are_equal_bytes(tmp_path):
    values = {**TYPES, "MatplotlibDataset": ("x.png", None)}
    for name, (file, value) in values.items():
        written = []
        for i in range(2):
            path = tmp_path / str(i) / file
            getattr(kedro_types, name)(filepath=str(path)).save(figure() if value is None else value)
            written.append(path.read_bytes())
        assert written[0] == written[1], name


def test_neither_pandas_nor_matplotlib_is_imported_to_open_a_catalog(tmp_path):
    code = (
        "import sys; from s10_pipeline.datasets import kedro_types as k; from kedro.io.core import Version; "
        "[t(filepath='x/y', version=Version(None, None)).exists() for t in "
        "(k.JSONDataset, k.CSVDataset, k.ParquetDataset, k.MatplotlibDataset)]; "
        "loaded = {'pandas', 'matplotlib', 'pyarrow'} & set(sys.modules); assert not loaded, loaded"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
