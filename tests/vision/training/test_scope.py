import ast
import dataclasses

import numpy as np
import pytest

from s10_pipeline.vision.training.checkpoints import CheckpointStore
from s10_pipeline.vision.training.scope import (
    DATA_MODULES,
    TRAINING_MODULES,
    describe_scope,
    explain_fresh_start,
    training_scope,
)

# What training runs through and what still cannot change its result, or shows in the digests of data and parameters.
CANNOT_MATTER = {
    "errors", "params", "progress", "training.checkpoints", "training.data", "data.image_files", "data.image_set",
    "data.params", "data.resize", "data.split",
}  # fmt: skip


def test_all_code_that_training_runs_through_decides_the_scope(root):
    core = root / "src/s10_pipeline/vision"
    reached, to_read = set(), ["training.trainer"]
    while to_read:
        module = to_read.pop()
        reached.add(module)
        path = core.joinpath(*module.split(".")).with_suffix(".py")
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.level:
                parent = module.split(".")[: -node.level]
                to_read += {".".join([*parent, node.module])} - reached
    covered = {f"data.{name}" for name in DATA_MODULES} | {f"training.{name}" for name in TRAINING_MODULES}
    covered |= {f"network.{path.stem}" for path in (core / "network").glob("*.py")} | {"device"}
    assert reached - covered == CANNOT_MATTER


def test_what_decides_the_result_decides_the_scope(data, tiny):
    scope = training_scope(data, 0.1, tiny, "fp32")
    assert scope == training_scope(data, 0.1, tiny, "fp32")
    same = {"epochs": 9, "device": "auto", "num_workers": 2, "keep_checkpoints": 7, "lr": 0.1}
    assert scope == training_scope(data, 0.1, tiny.model_copy(update=same), "fp32")
    assert scope != training_scope(data, 0.2, tiny, "fp32")
    assert scope != training_scope(data, 0.1, tiny, "bf16")
    for change in ({"seed": 1}, {"momentum": 0.8}, {"batch_size": 32}):
        assert scope != training_scope(data, 0.1, tiny.model_copy(update=change), "fp32"), change


def test_data_decides_the_scope(data, tiny):
    scope = training_scope(data, 0.1, tiny, "fp32")
    pixels = data.train_images.images_nhwc.copy()
    pixels[0, 0, 0, 0] ^= 1
    other_pixels = dataclasses.replace(data.train_images, images_nhwc=pixels, digest=None)
    fewer = dataclasses.replace(data.train_set, indices=data.train_set.indices[:-1])
    plain = dataclasses.replace(data.train_set, transforms=[])
    for change in ({"train_images": other_pixels}, {"train_set": fewer}, {"train_set": plain}):
        assert scope != training_scope(dataclasses.replace(data, **change), 0.1, tiny, "fp32")
    equal = dataclasses.replace(data.train_images, images_nhwc=np.array(data.train_images.images_nhwc), digest=None)
    assert scope == training_scope(dataclasses.replace(data, train_images=equal), 0.1, tiny, "fp32")


def test_epochs_decide_only_where_the_schedule_looks_at_them(data, tiny):
    annealing = tiny.model_copy(update={"anneal_epochs": 1})
    more = {"epochs": tiny.epochs + 1}
    assert training_scope(data, 0.1, tiny, "fp32") == training_scope(data, 0.1, tiny.model_copy(update=more), "fp32")
    assert training_scope(data, 0.1, annealing, "fp32") != training_scope(
        data, 0.1, annealing.model_copy(update=more), "fp32"
    )


def test_restarts_do_not_decide_but_processes_do(data, tiny):
    def scope(**distributed: int) -> str:
        changed = tiny.model_copy(update={"distributed": tiny.distributed.model_copy(update=distributed)})
        return training_scope(data, 0.1, changed, "fp32")

    assert scope() == scope(max_restarts=9)
    assert scope() != scope(num_processes=2)


def test_a_fresh_start_is_explained(data, tiny, tmp_path):
    store = CheckpointStore(tmp_path)

    def start(**changes: object) -> str | None:
        depends = describe_scope(data, 0.1, tiny.model_copy(update=changes), "fp32")
        with store.open(training_scope(data, 0.1, tiny.model_copy(update=changes), "fp32"), keep=1) as scope:
            reason = explain_fresh_start(scope, store, depends)
            scope.describe(depends)
        return reason

    assert start() is None
    assert start(weight_decay=0.25) == "the last training had other train.weight_decay 0.0005 -> 0.25"
    assert start(weight_decay=0.25, anneal_epochs=1, epochs=3) == (
        "the last training had other train.anneal_epochs 0 -> 1, train.epochs None -> 3 "
        "(train.anneal_epochs makes the schedule depend on train.epochs)"
    )


@pytest.mark.parametrize(
    ("anneal", "resize", "named"),
    [
        (1, 0, "train.anneal_epochs makes"),
        (0, 1, "train.resizing.epochs makes"),
        (1, 1, "train.anneal_epochs and train.resizing.epochs make"),
    ],
)
def test_what_made_epochs_count_is_named(data, tiny, tmp_path, anneal, resize, named):
    store = CheckpointStore(tmp_path)
    for epochs in (2, 3):
        resizing = tiny.resizing.model_copy(update={"epochs": resize})
        params = tiny.model_copy(update={"epochs": epochs, "anneal_epochs": anneal, "resizing": resizing})
        depends = describe_scope(data, 0.1, params, "fp32")
        with store.open(training_scope(data, 0.1, params, "fp32"), keep=1) as scope:
            reason = explain_fresh_start(scope, store, depends)
            scope.describe(depends)
    assert reason == f"the last training had other train.epochs 2 -> 3 ({named} the schedule depend on train.epochs)"
