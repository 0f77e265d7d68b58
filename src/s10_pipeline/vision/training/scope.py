"""What the result of a training depends on."""

import ast
import hashlib
from pathlib import Path
from typing import Any

from ..data.augmented import AugmentedSet, indices_digest
from ..data.image_set import content_digest
from .checkpoints import CheckpointScope, CheckpointStore, scope_key
from .data import TrainingData
from .params import TrainParams

# These cannot change what comes out: epochs only says where to stop (unless a schedule looks at it).
CHANGE_NOTHING: dict[str, Any] = {
    **dict.fromkeys(("epochs", "lr", "device", "precision", "num_workers", "keep_checkpoints", "cuda_graph"), True),
    "distributed": {"max_restarts"},
}

# What makes a schedule, of rates or of sizes, look at epochs; off where 0.
LOOK_AT_EPOCHS = ("train.anneal_epochs", "train.resizing.epochs")

# Of the data stage only what acts during training: how images were read shows in their digest.
DATA_MODULES = ("augmented", "augmenter", "cutout", "loader", "transforms")
TRAINING_MODULES = (
    "ema", "epoch", "history", "metric_sums", "optimizer", "params", "ranks", "resizing", "schedule", "setup", "step",
    "trainer",
)  # fmt: skip


def describe_scope(data: TrainingData, lr: float, params: TrainParams, precision: str) -> dict[str, Any]:
    """What the result of a training depends on, as JSON: parameters, learning rate, data and code."""
    decides = params.model_dump(mode="json", exclude=CHANGE_NOTHING)
    if params.anneal_epochs or params.resizing.epochs:
        decides["epochs"] = params.epochs
    return {
        "train": {**decides, "lr": lr, "precision": precision},  # as they were found out, on this machine
        "data": {
            "train_images": content_digest(data.train_images),
            "test_images": content_digest(data.test_images),
            **{f"{s.name}_set": _describe_set(s) for s in (data.train_set, data.val_set, data.test_set)},
        },
        "code": code_digest(),
    }


def training_scope(data: TrainingData, lr: float, params: TrainParams, precision: str) -> str:
    """Name of the checkpoints' scope: a digest of :func:`describe_scope`."""
    return scope_key(describe_scope(data, lr, params, precision))


def explain_fresh_start(scope: CheckpointScope, store: CheckpointStore, depends: dict[str, Any]) -> str | None:
    """In what this training differs from the last one that has checkpoints; None if there is no other."""
    others = [found for folder, found in store.described() if folder.name != scope.folder.name]
    if not others:
        return None
    before, now = _flatten(others[-1]), _flatten(depends)
    changed = [key for key in {**before, **now} if before.get(key) != now.get(key)]
    listed = ", ".join(
        f"{key} {before.get(key)} -> {now.get(key)}" if key.startswith("train.") else key for key in changed
    )
    if "train.epochs" in changed:
        causes = [key for key in LOOK_AT_EPOCHS if before.get(key) or now.get(key)]
        verb = "make" if len(causes) > 1 else "makes"
        listed += f" ({' and '.join(causes)} {verb} the schedule depend on train.epochs)"
    return f"the last training had other {listed}" if changed else None


def _flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        inner = isinstance(value, dict) and prefix + key != "data.train_set.transforms"
        flat.update(_flatten(value, f"{prefix}{key}.") if inner else {prefix + key: value})
    return flat


def _describe_set(subset: AugmentedSet) -> dict[str, Any]:
    return {
        "indices": indices_digest(subset),
        "transforms": subset.transforms,
        "mean": list(subset.mean),
        "std": list(subset.std),
    }


def code_digest() -> str:
    """SHA-256 of the modules that training runs through, without comments and docstrings."""
    core = Path(__file__).parents[1]
    files = [core / "device.py", *(core / "data" / f"{name}.py" for name in DATA_MODULES)]
    files += [
        *sorted((core / "network").glob("*.py")),
        *(core / "training" / f"{name}.py" for name in TRAINING_MODULES),
    ]
    sha = hashlib.sha256()
    for path in files:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node) is not None:
                node.body = node.body[1:]
        sha.update(f"{path.name}\n{ast.dump(tree)}\n".encode())
    return sha.hexdigest()
