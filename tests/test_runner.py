"""What the project knows about its stages: what can change them, and what records tell of where they ran."""

from collections.abc import Iterator

import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.io.core import Version
from pydantic import BaseModel, create_model

from s10_pipeline import runner
from s10_pipeline.datasets.checkpoints import CheckpointsDataset
from s10_pipeline.datasets.kedro_types import JSONDataset
from s10_pipeline.identity.affects import Affects, can_change
from s10_pipeline.identity.digests import Memo
from s10_pipeline.parameters import Parameters
from s10_pipeline.pipeline_registry import register_pipelines
from s10_pipeline.runner import RULES, describe
from s10_pipeline.staleness.fingerprint import Fingerprinter
from s10_pipeline.vision.training.params import StepParams, TrainParams

NODES = {node.name: node for pipeline in register_pipelines().values() for node in pipeline.nodes}

STEP = {
    "train.epochs",
    "train.batch_size", "train.lr", "train.momentum", "train.nesterov", "train.weight_decay",
    "train.class_weights", "train.pretrained.path", "train.pretrained.freeze",
    "train.decay_norm_and_bias", "train.label_smoothing", "train.seed", "train.precision", "train.architecture.depth",
    "train.architecture.width", "train.architecture.stem", "train.architecture.dropout",
    "train.architecture.stem_dropout", "train.architecture.zero_init_residual",
}  # fmt: skip
EVALUATE = {
    "evaluate.batch_size", "evaluate.num_bins", "evaluate.duplicate_similarity", "evaluate.test_time_flip",
}  # fmt: skip
EXPLAIN = {"explain.num_images", "explain.selection", "explain.method", "explain.layer", "explain.seed"}

# Of the parameters that each stage is handed, those that make it stale.
COUNT = {
    "ingest_cifar": {
        "ingest.source", "ingest.path", "ingest.image_size", "ingest.seed", "ingest.test_fraction", "ingest.shortcut",
        "ingest.plant", "ingest.corrections", "ingest.columns.file", "ingest.columns.label", "ingest.columns.split",
        "ingest.columns.group", "ingest.image_root", "ingest.group_pattern", "ingest.on_bad_image",
        "ingest.shapes10.num_train_images", "ingest.shapes10.num_test_images",
    },
    "build_augmented_datasets": {
        "augment.train", "augment.val_fraction", "augment.seed", "augment.pixel_mean", "augment.pixel_std",
        "augment.num_preview_images",
    },
    "find_near_duplicates": EVALUATE,
    "lr_range_test": STEP | {
        "lr_search.start_lr", "lr_search.end_lr", "lr_search.num_tests", "lr_search.num_iterations",
        "lr_search.smoothing", "lr_search.diverge_threshold", "lr_search.method", "lr_search.always",
    },
    "train_resnet": STEP | {
        "train.warmup_epochs", "train.anneal_epochs", "train.ema_decay", "train.deterministic",
        "train.distributed.num_nodes", "train.schedule", "train.distributed.num_processes", "train.resizing.epochs",
        "train.resizing.start", "train.plateau.factor", "train.plateau.patience", "train.plateau.threshold",
        "train.plateau.cooldown", "train.plateau.min_lr",
    },
    "evaluate": EVALUATE,
    "probe_shortcut": EVALUATE,
    "judge": EVALUATE,
    "collect_misclassified": EXPLAIN,
    "find_label_errors": EVALUATE,
    "compute_cams": EXPLAIN,
    "check_cams": set(),
    "gradcam_report": set(),
    "predict_images": EXPLAIN | {
        "predict.path", "predict.batch_size", "predict.top_k", "predict.num_gallery_images",
    },
    "export_onnx": {"export.num_check_images", "export.tolerance"},
}  # fmt: skip


def names_in(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for key, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from names_in(field.annotation, f"{prefix}{key}.")
        else:
            yield prefix + key


def handed(node) -> set[str]:
    groups = [name.removeprefix("params:") for name in node.inputs if name.startswith("params:")]
    return {name for name in names_in(Parameters) for group in groups if f"{name}.".startswith(f"{group}.")}


def test_every_stage_is_in_the_table():
    assert COUNT.keys() == NODES.keys()


@pytest.mark.parametrize("node", NODES)
def test_exactly_these_parameters_make_a_stage_stale(node):
    assert {name for name in handed(NODES[node]) if can_change(Parameters, name, node)} == COUNT[node]


@pytest.mark.parametrize("node", ["lr_range_test", "train_resnet"])
def test_the_content_of_pretrained_weights_makes_these_stages_stale(node, tmp_path):
    path, digests = tmp_path / "weights.pth", set()
    train = {"pretrained": {"path": str(path)}}
    catalog = DataCatalog({"params:train": MemoryDataset(train), "params:lr_search": MemoryDataset({})})
    for content in (b"1", b"22"):
        path.write_bytes(content)
        parts = Fingerprinter(RULES, Memo(tmp_path)).parts(NODES[node], catalog, {})
        digests.add(parts["files"]["train.pretrained.path"])
    assert len(digests) == 2


def test_a_new_parameter_of_the_optimiser_makes_the_range_test_stale():
    for base in (StepParams, TrainParams):
        train = create_model("MoreParams", __base__=base, dampening=(float, 0.0))
        root = create_model("MoreParameters", __base__=Parameters, train=(train, ...))
        assert can_change(root, "train.dampening", "lr_range_test")
        assert can_change(root, "train.dampening", "train_resnet")


def test_the_core_of_the_range_test_can_read_what_makes_it_stale_and_nothing_else():
    read = {name for name in COUNT["lr_range_test"] if name.startswith("train.")}
    assert {f"train.{name}" for name in names_in(StepParams)} == read | {"train.device", "train.num_workers"}


def test_what_is_declared_names_stages_and_parameters_that_exist():
    declared = set()
    todo: list[type[BaseModel]] = [Parameters]
    while todo:
        for field in todo.pop().model_fields.values():
            declared |= {stage for mark in field.metadata if isinstance(mark, Affects) for stage in mark}
            if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
                todo.append(field.annotation)
    assert {"train_resnet"} <= declared <= NODES.keys()
    assert set(RULES.path_parameters) <= set(names_in(Parameters))
    assert set(RULES.harmless_inputs) <= {name for node in NODES.values() for name in node.inputs}


@pytest.mark.parametrize(
    ("lr_from", "remark"), [("range test", ""), ("train.lr", ""), ("interrupted training", "0.238; best_lr is 0.26")]
)
def test_stages_tell_both_rates_of_a_training_that_went_on_at_its_own(lr_from, remark):
    stored = MemoryDataset({"model": {"lr": 0.238, "lr_from": lr_from}, "lr_search": {"lr": 0.26}})
    catalog = DataCatalog({"provenance": stored})
    told = RULES.remark(catalog, "train_resnet")
    assert remark in told and bool(told) == bool(remark)
    assert not RULES.remark(catalog, "evaluate")


def test_records_tell_device_and_commit(monkeypatch):
    assert describe({})["device"].startswith("cpu")
    monkeypatch.setattr(runner, "describe_git_state", lambda: {"commit": "c0ffee", "uncommitted_changes": True})
    assert describe({})["git"] == {"commit": "c0ffee", "dirty": True}


@pytest.mark.parametrize(("root", "removable"), [("", ["abc"]), ("memory://", [])])
def test_checkpoints_are_kept_where_models_are_stored_remotely(tmp_path, root, removable):
    (tmp_path / "checkpoints" / "abc").mkdir(parents=True)
    (tmp_path / "checkpoints" / "abc" / "finished.json").write_text("{}")
    provenance = JSONDataset(filepath=f"{root}{tmp_path}/provenance.json", version=Version(None, None))
    checkpoints = CheckpointsDataset(filepath=str(tmp_path / "checkpoints"))
    catalog = DataCatalog({"provenance": provenance, "checkpoints": checkpoints})
    assert [folder.name for folder in RULES.unneeded(catalog, set())] == removable
