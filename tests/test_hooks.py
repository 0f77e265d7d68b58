import dataclasses
import logging
from types import SimpleNamespace

import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.io.core import Version
from kedro.pipeline import Pipeline

from s10_pipeline.datasets.atomic import AtomicDataset
from s10_pipeline.datasets.classifier import ClassifierDataset
from s10_pipeline.datasets.html import HTMLDataset
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
        **vars(data),
        "best_lr": {"lr": 0.05},
        "checkpoints": CheckpointStore(tmp_path),
        "params:train": tiny,
        "params:lr_search": LrSearchParams(),
    }


def announced(hooks: ProjectHooks, inputs: dict, caplog, *names: str) -> list[str]:
    caplog.clear()
    hooks._parameters = SimpleNamespace(train=inputs["params:train"])
    pipeline = Pipeline([NODES[name] for name in names])
    hooks.before_pipeline_run({}, pipeline, DataCatalog({name: MemoryDataset(1) for name in pipeline.inputs()}))
    with caplog.at_level(logging.INFO):
        for name in names:
            hooks.before_node_run(NODES[name], {key: inputs[key] for key in NODES[name].inputs if key in inputs})
    return [message for message in caplog.messages if "images/s" in message]


@pytest.mark.parametrize(
    ("lr", "always", "names", "facts"),
    [
        (None, False, ["ingest_cifar", "lr_range_test", "train_resnet", "evaluate"], {"80 epochs", "range test"}),
        (None, False, ["train_resnet"], {"80 epochs"}),
        (None, False, ["lr_range_test"], {"range test"}),
        # with a given rate no range test runs
        (0.05, False, ["lr_range_test", "train_resnet"], {"80 epochs"}),
        (0.05, False, ["lr_range_test"], set()),
        (0.05, True, ["lr_range_test"], {"range test"}),
    ],
)
def test_what_will_run_is_announced_and_nothing_else(inputs, tiny, caplog, lr, always, names, facts):
    # long enough for a range test
    train, search = tiny.model_copy(update={"lr": lr, "epochs": 80}), LrSearchParams(always=always)
    given = {**inputs, "params:train": train, "params:lr_search": search}
    hooks = ProjectHooks()
    for _ in range(2):  # every run tells, once
        told = announced(hooks, given, caplog, *names)
        assert len(told) == bool(facts)
        assert {fact for fact in ("80 epochs", "range test") for line in told if f"{fact} about" in line} == facts


def test_only_epochs_without_a_checkpoint_are_announced(inputs, data, tiny, caplog):
    store = inputs["checkpoints"]

    def told_after(epochs: int, **changes: object) -> list[str]:
        result = train_classifier(data, 0.05, tiny.model_copy(update={"epochs": epochs}), store)
        wanted = tiny.model_copy(update={"epochs": 3, **changes})
        told = announced(ProjectHooks(), {**inputs, "params:train": wanted}, caplog, "train_resnet")
        store.mark_finished(result.run_key, epochs)
        return [line.partition("time: ")[2].partition(" about")[0] for line in told]

    assert told_after(1) == ["2 epochs"]
    assert told_after(2, lr=0.06) == ["3 epochs"], "another rate starts afresh"
    assert told_after(2, lr=0.05) == ["1 epoch"]
    # killed before the model was stored: nothing is left to train
    assert told_after(3) == []
    given = {**inputs, "params:train": tiny.model_copy(update={"epochs": 3})}
    assert "3 epochs about" in announced(ProjectHooks(), given, caplog, "train_resnet")[0]


def test_a_training_is_finished_only_after_all_outputs_are_saved(tmp_path):
    """``kedro run --async`` saves outputs in any order, and may save the provenance before the model."""
    node, store = NODES["train_resnet"], CheckpointStore(tmp_path)
    (tmp_path / "key").mkdir()
    provenance = {"checkpoints": "key", "train": {"epochs": 3}}
    catalog = DataCatalog({"checkpoints": MemoryDataset(store), "provenance": MemoryDataset(provenance)})
    hooks, finished = ProjectHooks(), tmp_path / "key" / "finished.json"
    for outputs in (reversed(node.outputs[1:]), reversed(node.outputs)):  # the first run fails to save the model
        hooks.before_pipeline_run({}, Pipeline([]), catalog)
        for name in outputs:
            assert not finished.exists()
            hooks.after_dataset_saved(name, provenance if name == "provenance" else None, node)
    assert finished.exists()


@pytest.mark.parametrize("name", sorted(register_pipelines()))
def test_every_run_on_drawn_images_says_so(name, data, classifier, tmp_path, caplog, monkeypatch):
    caplog.set_level(logging.INFO)
    for title, drawn, told in (
        ("photographs: drawn data by name", False, False),
        ("shapes10: drawn data, not CIFAR-10", True, True),
        ("photographs; planted faults: labels:0.05", False, True),
    ):
        source, catalog = {"title": title, "drawn": drawn}, DataCatalog()
        classifier.spec = dataclasses.replace(classifier.spec, **source)
        made = {key: dataclasses.replace(getattr(data, key), source=source) for key in ("train_images", "test_images")}
        for key, value in {**made, "model": classifier}.items():
            kind = ClassifierDataset if key == "model" else ImageSetDataset
            catalog[key] = kind(filepath=str(tmp_path / title / key), version=Version(None, None))
            catalog.save(key, value)
        caplog.clear()
        with monkeypatch.context() as patch:  # neither pixels nor weights are read, and no torch is waited for
            patch.setattr(AtomicDataset, "_load", lambda _: pytest.fail("read"))
            ProjectHooks().after_pipeline_run(register_pipelines()[name], catalog)
        assert caplog.messages == [f"made from {title}"] * told


def test_the_last_lines_tell_the_verdicts_and_the_report_alone(caplog, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pipeline = Pipeline([NODES["judge"], NODES["check_cams"], NODES["gradcam_report"]])
    told = (("shortcut", "The tag"), ("accuracy", "9 of 9"))
    verdicts = [Verdict(kind, "found", 9, sentence).as_dict() for kind, sentence in told]
    check = {"verdict": Verdict("cam_trust", "unknown", 3, "3 maps").as_dict()}
    catalog = DataCatalog({"verdicts": MemoryDataset(verdicts), "cam_check": MemoryDataset(check)})
    catalog["report"] = HTMLDataset(filepath=str(tmp_path / "report.html"), version=Version(None, "1"))
    catalog.save("report", "<html></html>")
    caplog.set_level(logging.INFO)
    ProjectHooks().after_pipeline_run(pipeline, catalog)
    assert caplog.messages == [*in_lines([*verdicts, check["verdict"]]), "report.html/1/report.html"]
    assert "9 of 9" in caplog.messages[-2] and len(caplog.messages) == 4

    caplog.clear()
    hooks = ProjectHooks()
    hooks.before_pipeline_run({}, pipeline, DataCatalog(dict.fromkeys(pipeline.inputs(), MemoryDataset({}))))
    hooks._unchecked = None
    hooks.before_node_run(NODES["check_cams"], {})
    number = 1 + [node.name for node in pipeline.nodes].index("check_cams")
    assert caplog.messages == [f"{number}/3 check_cams"]


def test_an_output_without_versions_may_exist_already(tmp_path):
    pipeline = Pipeline([NODES["gradcam_report"]])
    catalog = DataCatalog(dict.fromkeys(pipeline.inputs(), MemoryDataset({})))
    catalog["report"] = HTMLDataset(filepath=str(tmp_path / "report.html"))
    catalog.save("report", "<html></html>")
    hooks = ProjectHooks()
    hooks.before_pipeline_run({}, pipeline, catalog)
    hooks.before_node_run(NODES["gradcam_report"], {})
