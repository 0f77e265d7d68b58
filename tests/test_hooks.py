import copy
import dataclasses
import logging

import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.io.core import Version
from kedro.pipeline import Pipeline

from s10_pipeline.datasets.atomic import AtomicDataset
from s10_pipeline.datasets.classifier import ClassifierDataset
from s10_pipeline.datasets.image_set import ImageSetDataset
from s10_pipeline.hooks import ProjectHooks
from s10_pipeline.pipeline_registry import register_pipelines
from s10_pipeline.vision.evaluation.verdict import Verdict, in_lines
from s10_pipeline.vision.lr_search.params import LrSearchParams
from s10_pipeline.vision.training.checkpoints import CheckpointStore
from s10_pipeline.vision.training.engine import train_classifier

NODES = {node.name: node for node in register_pipelines()["__default__"].nodes}


@pytest.fixture
def inputs(data, tiny, tmp_path):
    return {
        "train_images": data.train_images,
        "test_images": data.test_images,
        "train_set": data.train_set,
        "val_set": data.val_set,
        "test_set": data.test_set,
        "best_lr": {"lr": 0.05},
        "checkpoints": CheckpointStore(tmp_path),
        "params:train": tiny,
        "params:lr_search": LrSearchParams(num_iterations=30),
    }


def announced(hooks: ProjectHooks, inputs: dict, caplog, *names: str) -> list[str]:
    """What a run of these nodes tells."""
    caplog.clear()
    pipeline = Pipeline([NODES[name] for name in names])
    hooks.before_pipeline_run({}, pipeline, DataCatalog({name: MemoryDataset(1) for name in pipeline.inputs()}))
    with caplog.at_level(logging.INFO):
        for name in names:
            hooks.before_node_run(NODES[name], {key: inputs[key] for key in NODES[name].inputs if key in inputs})
    return [message for message in caplog.messages if "images/s" in message]


def test_how_long_it_takes_is_told_once_before_the_first_long_stage(inputs, caplog):
    hooks = ProjectHooks()
    told = announced(hooks, inputs, caplog, "ingest_cifar", "lr_range_test", "train_resnet", "evaluate")
    assert len(told) == 1
    assert "range test about" in told[0]
    assert "2 epochs about" in told[0]
    again = announced(hooks, inputs, caplog, "lr_range_test")
    assert len(again) == 1, "every run tells"


def test_training_alone_is_announced_without_the_range_test(inputs, caplog):
    (told,) = announced(ProjectHooks(), inputs, caplog, "train_resnet")
    assert "2 epochs about" in told
    assert "range test" not in told


def test_the_range_test_alone_is_announced_without_epochs(inputs, caplog):
    (told,) = announced(ProjectHooks(), inputs, caplog, "lr_range_test")
    assert "range test about" in told
    assert "epoch" not in told


def test_with_a_given_rate_no_range_test_is_announced(inputs, tiny, caplog):
    given = {**inputs, "params:train": tiny.model_copy(update={"lr": 0.05})}
    (told,) = announced(ProjectHooks(), given, caplog, "lr_range_test", "train_resnet")
    assert "2 epochs about" in told
    assert "range test" not in told
    assert not announced(ProjectHooks(), given, caplog, "lr_range_test")
    given["params:lr_search"] = LrSearchParams(num_iterations=30, always=True)
    (told,) = announced(ProjectHooks(), given, caplog, "lr_range_test")
    assert "range test about" in told


def test_only_epochs_without_a_checkpoint_are_announced(inputs, data, tiny, caplog):
    store = inputs["checkpoints"]

    def told_after(epochs: int, **changes: object) -> list[str]:
        result = train_classifier(data, 0.05, tiny.model_copy(update={"epochs": epochs}), store)
        wanted = tiny.model_copy(update={"epochs": 3, **changes})
        told = announced(ProjectHooks(), {**inputs, "params:train": wanted}, caplog, "train_resnet")
        store.mark_finished(result.run_key, epochs)
        return [line.partition("; ")[2].partition(" about")[0] for line in told]

    assert told_after(1) == ["2 epochs"]
    assert told_after(2, lr=0.06) == ["3 epochs"], "another rate starts afresh"
    assert told_after(2, lr=0.05) == ["1 epoch"]
    # killed before the model was stored: nothing is left to train
    assert told_after(3) == []
    # asked for again, it is trained again
    again = announced(ProjectHooks(), {**inputs, "params:train": tiny.model_copy(update={"epochs": 3})}, caplog,
                      "train_resnet")  # fmt: skip
    assert "3 epochs about" in again[0]


@pytest.fixture
def stored(data, classifier, tmp_path):
    """A catalog of what says which images it is of, by the title of those images."""

    def store(title: str, drawn: bool) -> DataCatalog:
        source = {"title": title, "drawn": drawn}
        folder = tmp_path / title.partition(":")[0]
        catalog = DataCatalog(
            {
                "train_images": ImageSetDataset(filepath=str(folder / "train.json"), version=Version(None, None)),
                "test_images": ImageSetDataset(filepath=str(folder / "test.json"), version=Version(None, None)),
                "model": ClassifierDataset(filepath=str(folder / "model.safetensors"), version=Version(None, None)),
            }
        )
        for name in ("train_images", "test_images"):
            catalog.save(name, dataclasses.replace(getattr(data, name), source=source))
        model = copy.deepcopy(classifier)
        model.spec = dataclasses.replace(classifier.spec, **source)
        catalog.save("model", model)
        return catalog

    return store


@pytest.mark.parametrize("name", sorted(register_pipelines()))
def test_every_run_on_drawn_images_says_so(name, stored, caplog, monkeypatch):
    drawn, photographs = (
        stored("shapes10: drawn data, not CIFAR-10", drawn=True),
        stored("photographs: drawn data by name", drawn=False),
    )
    # neither pixels nor weights are read, and no torch is waited for
    monkeypatch.setattr(AtomicDataset, "_load", lambda _: pytest.fail("read"))
    pipeline = register_pipelines()[name]
    with caplog.at_level(logging.INFO):
        ProjectHooks().after_pipeline_run(pipeline, photographs)
        assert not caplog.messages
        ProjectHooks().after_pipeline_run(pipeline, drawn)
    assert caplog.messages == ["made from shapes10: drawn data, not CIFAR-10"]
    caplog.clear()
    with caplog.at_level(logging.INFO):
        ProjectHooks().after_pipeline_run(pipeline, stored("photographs; planted faults: labels:0.05", drawn=False))
    assert caplog.messages == ["made from photographs; planted faults: labels:0.05"]


def test_the_last_lines_tell_the_verdicts(caplog):
    pipeline = Pipeline([NODES["judge"], NODES["check_cams"]])
    verdicts = [
        Verdict("shortcut", "found", 9, "The tag").as_dict(),
        Verdict("accuracy", "found", 9, "9 of 9").as_dict(),
    ]
    check = {"verdict": Verdict("cam_trust", "unknown", 3, "3 maps").as_dict()}
    catalog = DataCatalog({"verdicts": MemoryDataset(verdicts), "cam_check": MemoryDataset(check)})
    with caplog.at_level(logging.INFO):
        ProjectHooks().after_pipeline_run(pipeline, catalog)
    assert caplog.messages == in_lines([*verdicts, check["verdict"]])
    assert len(caplog.messages) == 3
