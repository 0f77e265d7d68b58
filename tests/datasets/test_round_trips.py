"""Every type of dataset gives back what was saved, on any file system, whole or not at all."""

import dataclasses
import json
import os
from unittest.mock import Mock

import numpy as np
import onnx
import pandas as pd
import pytest
from kedro.io import DatasetError
from kedro.io.core import Version
from matplotlib.figure import Figure

from s10_pipeline.datasets import kedro_types
from s10_pipeline.datasets.cams import CamsDataset
from s10_pipeline.datasets.checkpoints import CheckpointsDataset
from s10_pipeline.datasets.classifier import ClassifierDataset
from s10_pipeline.datasets.html import HTMLDataset
from s10_pipeline.datasets.onnx_file import OnnxDataset
from s10_pipeline.datasets.split import SplitDataset
from s10_pipeline.vision.explain.cams import Cams
from s10_pipeline.vision.network.classifier import Classifier

PAGE = '<html><head><title>Report:\n 90 %</title><meta name="description" content="25 mistakes"></head></html>'


def make_figure() -> Figure:
    drawn = Figure(figsize=(2, 1))
    drawn.subplots().plot([1, 2, 3])
    return drawn


def make_table() -> pd.DataFrame:
    return pd.DataFrame({"index": [1, 2, 3, 4, 5, 6, 7], "name": list("abcdefg")})


def make_cams(n: int, shortcut: bool) -> Cams:
    rng = np.random.default_rng(n)
    return Cams(
        indices=np.arange(n)[::-1],
        predicted_nhw=rng.random((n, 8, 8), dtype=np.float32),
        true_nhw=rng.random((n, 8, 8), dtype=np.float32)[::-1],
        params={"method": "gradcam", "layer": ["layer2", "layer3"], "seed": 0},
        model="sha256:abc",
        shortcut={"heat_plain": 0.1 + 0.2, "heat_tagged": None} if shortcut else None,
        shortcut_examples=[{"index": 3, "confidence": 1 / 3}] * shortcut,
        shortcut_nhw=rng.random((1 * shortcut, 8, 8), dtype=np.float32),
    )


def make_onnx() -> bytes:
    graph = onnx.helper.make_graph([], "nothing", [], [])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)])
    onnx.helper.set_model_props(model, {"class_names": json.dumps(["a", "b"])})
    return model.SerializeToString()


# what is saved -> its type, what makes it of the classifier and a set, what its preview holds
CASES = {
    "JSON": (kedro_types.JSONDataset, lambda *_: {"a": [1, 2.5, None]}, '{"a": [1, 2.5, null]}'),
    "CSV": (kedro_types.CSVDataset, lambda *_: make_table(), "'columns': ['index', 'name']"),
    "parquet": (kedro_types.ParquetDataset, lambda *_: make_table(), "'columns': ['index', 'name']"),
    "figure": (kedro_types.MatplotlibDataset, lambda *_: make_figure(), "iVBOR"),
    "page": (HTMLDataset, lambda *_: PAGE, "<b>Report: 90 %</b><br/>25 mistakes"),
    "set": (SplitDataset, lambda classifier, subset: subset, '"indices": "120 images"'),
    "model": (ClassifierDataset, lambda classifier, subset: classifier, '"depth": 8'),
    "maps": (CamsDataset, lambda *_: make_cams(25, shortcut=False), '"num_images": 25'),
    "maps with a shortcut": (CamsDataset, lambda *_: make_cams(2, shortcut=True), '"method": "gradcam"'),
    "no maps": (CamsDataset, lambda *_: make_cams(0, shortcut=False), '"num_images": 0'),
    "ONNX": (OnnxDataset, lambda *_: make_onnx(), '{"class_names": ["a", "b"], "opset": 18}'),
}


def same(a: object, b: object) -> bool:
    if isinstance(a, Classifier):
        return a.spec == b.spec and same(
            *({name: value.numpy() for name, value in model.state_dict().items()} for model in (a, b))
        )
    if dataclasses.is_dataclass(a):
        return same(vars(a), vars(b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, pd.DataFrame):
        return a.equals(b)
    return a.dtype == b.dtype and np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b


@pytest.mark.parametrize("place", ["{tmp}", "memory://bucket"])
@pytest.mark.parametrize("case", CASES)
def test_what_was_saved_comes_back_and_equal_values_are_equal_bytes(classifier, sets, tmp_path, case, place):
    kind, make, shown = CASES[case]
    value, path = make(classifier, sets[2]), f"{place.format(tmp=tmp_path)}/{case}"
    for version in "12":
        dataset = kind(filepath=path, version=Version(None, version))
        dataset.save(value if version == "1" else make(classifier, sets[1]))
    assert kind(filepath=path, version=Version(None, None)).resolve_load_version() == "2"
    first = kind(filepath=path, version=Version("1", None))
    assert shown in str(first.preview()) and "\n" not in str(first.preview())
    if case == "figure":
        with pytest.raises(DatasetError, match="Loading not supported"):
            first.load()
        assert first.encode(value) == first.encode(make_figure())
    else:
        assert same(value, first.load()) and first.encode(value) == first.encode(first.load())


@pytest.mark.parametrize("broken", ["fsync", "replace"])
@pytest.mark.parametrize("case", CASES)
def test_a_save_that_breaks_leaves_no_version_behind(classifier, sets, tmp_path, monkeypatch, broken, case):
    kind, make, _ = CASES[case]
    kind(filepath=str(tmp_path / "x"), version=Version(None, "1")).save(make(classifier, sets[2]))
    monkeypatch.setattr(os, broken, Mock(side_effect=OSError(28, "No space left on device")))
    with pytest.raises(DatasetError, match="No space left"):
        kind(filepath=str(tmp_path / "x"), version=Version(None, "2")).save(make(classifier, sets[2]))
    monkeypatch.undo()
    assert kind(filepath=str(tmp_path / "x"), version=Version(None, None)).resolve_load_version() == "1"
    assert not list(tmp_path.rglob("*.partial"))


def test_checkpoints_are_a_handle(tmp_path):
    with pytest.raises(DatasetError, match="checkpoints=s3://bucket/06_models/checkpoints: .*local filepath"):
        CheckpointsDataset(filepath="s3://bucket/06_models/checkpoints").load()
    dataset = CheckpointsDataset(filepath=str(tmp_path / "checkpoints"))
    assert dataset.exists()
    with pytest.raises(DatasetError, match="saved through the loaded store"):
        dataset.save("state")
