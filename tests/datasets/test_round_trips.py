import json

import numpy as np
import onnx
import pytest
import torch
from kedro.io import DatasetError
from kedro.io.core import Version

from s10_pipeline.datasets.checkpoints import CheckpointsDataset
from s10_pipeline.datasets.classifier import ClassifierDataset
from s10_pipeline.datasets.onnx_file import OnnxDataset
from s10_pipeline.datasets.split import SplitDataset


@pytest.mark.parametrize("place", ["{tmp}/set.json", "memory://bucket/set.json"])
def test_sets(sets, tmp_path, place):
    for version, subset in zip("123", sets, strict=True):
        dataset = SplitDataset(filepath=place.format(tmp=tmp_path), version=Version(None, version))
        dataset.save(subset)
        loaded = SplitDataset(filepath=place.format(tmp=tmp_path), version=Version(version, None)).load()
        assert np.array_equal(loaded.indices, subset.indices)
        assert loaded.indices.dtype == np.int64
        for field in ("name", "transforms", "mean", "std", "parameters"):
            assert getattr(loaded, field) == getattr(subset, field)
    assert json.loads(dataset.preview())["indices"] == "120 images"


@pytest.mark.parametrize("place", ["{tmp}/model.safetensors", "memory://bucket/model.safetensors"])
def test_models(classifier, tmp_path, place):
    dataset = ClassifierDataset(filepath=place.format(tmp=tmp_path), version=Version(None, None))
    dataset.save(classifier)
    loaded = dataset.load()
    assert loaded.spec == classifier.spec
    weights = loaded.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in classifier.state_dict().items())
    assert json.loads(dataset.preview())["architecture"]["depth"] == 8


@pytest.mark.parametrize("place", ["{tmp}/model.onnx", "memory://bucket/model.onnx"])
def test_onnx_models(tmp_path, place):
    graph = onnx.helper.make_graph([], "nothing", [], [])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)])
    onnx.helper.set_model_props(model, {"class_names": json.dumps(["a", "b"])})
    dataset = OnnxDataset(filepath=place.format(tmp=tmp_path), version=Version(None, None))
    dataset.save(model.SerializeToString())
    assert dataset.load() == model.SerializeToString()
    assert json.loads(dataset.preview()) == {"class_names": ["a", "b"], "opset": 18}


def test_checkpoints_are_a_handle(tmp_path):
    with pytest.raises(DatasetError, match="checkpoints=s3://bucket/06_models/checkpoints: .*local filepath"):
        CheckpointsDataset(filepath="s3://bucket/06_models/checkpoints").load()
    dataset = CheckpointsDataset(filepath=str(tmp_path / "checkpoints"))
    assert dataset.exists()
    with dataset.load().open("key", keep=1) as checkpoints:
        checkpoints.save(1, {"epoch": 1})
    with CheckpointsDataset(filepath=str(tmp_path / "checkpoints")).load().open("key", keep=1) as checkpoints:
        assert checkpoints.last() == (1, {"epoch": 1})
    dataset.load().mark_finished("key", 1)
    assert json.loads(dataset.preview()) == {"key": {"last_epoch": 1, "finished_epochs": 1}}
    with pytest.raises(DatasetError, match="saved through the loaded store"):
        dataset.save("state")
