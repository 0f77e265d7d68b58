import copy
import dataclasses
import logging

import pytest
from kedro.io import DataCatalog
from kedro.io.core import Version
from kedro.pipeline import Pipeline

from s10_pipeline.datasets.atomic import AtomicDataset
from s10_pipeline.datasets.classifier import ClassifierDataset
from s10_pipeline.datasets.image_set import ImageSetDataset
from s10_pipeline.hooks import ProjectHooks
from s10_pipeline.pipeline_registry import register_pipelines
from s10_pipeline.vision.lr_search.params import LrSearchParams

NODES = {node.name: node for node in register_pipelines()["__default__"].nodes}


@pytest.fixture
def inputs(data, tiny):
    return {
        "train_images": data.train_images,
        "train_set": data.train_set,
        "params:train": tiny,
        "params:lr_search": LrSearchParams(num_iterations=30),
    }


def announced(hooks: ProjectHooks, inputs: dict, caplog, *names: str) -> list[str]:
    caplog.clear()
    hooks.before_pipeline_run({}, Pipeline([]), DataCatalog({}))
    with caplog.at_level(logging.INFO):
        for name in names:
            hooks.before_node_run(NODES[name], inputs)
    return [message for message in caplog.messages if "images/s" in message]


def test_how_long_it_takes_is_told_once_before_the_first_long_stage(inputs, caplog):
    hooks = ProjectHooks()
    told = announced(hooks, inputs, caplog, "ingest_cifar", "lr_range_test", "train_resnet", "evaluate")
    assert len(told) == 1
    assert "range test about" in told[0]
    assert "2 epochs about" in told[0]
    again = announced(hooks, inputs, caplog, "lr_range_test")
    assert len(again) == 1, "every run tells"


def test_training_alone_is_announced_with_what_it_measures(inputs, data, caplog):
    del inputs["params:lr_search"]
    told = announced(ProjectHooks(), {**inputs, "val_set": data.val_set, "test_set": data.test_set}, caplog,
                     "train_resnet")  # fmt: skip
    assert len(told) == 1
    assert "range test" not in told[0]


@pytest.fixture
def stored(data, classifier, tmp_path):
    """A catalog of what says which images it is of, by the title of those images."""

    def store(title: str) -> DataCatalog:
        folder = tmp_path / title.partition(":")[0]
        catalog = DataCatalog(
            {
                "train_images": ImageSetDataset(filepath=str(folder / "train.json"), version=Version(None, None)),
                "test_images": ImageSetDataset(filepath=str(folder / "test.json"), version=Version(None, None)),
                "model": ClassifierDataset(filepath=str(folder / "model.safetensors"), version=Version(None, None)),
            }
        )
        for name in ("train_images", "test_images"):
            catalog.save(name, dataclasses.replace(getattr(data, name), source={"title": title}))
        model = copy.deepcopy(classifier)
        model.spec = dataclasses.replace(classifier.spec, title=title)
        catalog.save("model", model)
        return catalog

    return store


@pytest.mark.parametrize("name", sorted(register_pipelines()))
def test_every_run_on_drawn_images_says_so(name, stored, caplog, monkeypatch):
    drawn, photographs = stored("shapes10: drawn data, not CIFAR-10"), stored("CIFAR-10")
    # neither pixels nor weights are read, and no torch is waited for
    monkeypatch.setattr(AtomicDataset, "_load", lambda _: pytest.fail("read"))
    pipeline = register_pipelines()[name]
    with caplog.at_level(logging.INFO):
        ProjectHooks().after_pipeline_run(pipeline, photographs)
        assert not caplog.messages
        ProjectHooks().after_pipeline_run(pipeline, drawn)
    assert caplog.messages == ["made from shapes10: drawn data, not CIFAR-10"]
