"""What the result of a training depends on."""

import ast
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..data.augmented import AugmentedSet
from ..data.image_set import content_digest
from .checkpoints import scope_key
from .params import TrainParams

if TYPE_CHECKING:
    from .engine import TrainingData

# These cannot change what comes out: epochs only says where to stop.
CHANGE_NOTHING = {"epochs", "lr", "device", "precision", "num_workers", "keep_checkpoints"}

# Of the data stage only what acts during training: how images were read shows in their digest.
DATA_MODULES = ("augmented", "augmenter", "cutout", "loader", "transforms")


def training_scope(data: "TrainingData", lr: float, params: TrainParams, precision: str) -> str:
    """Name of the checkpoints' scope: a digest of data, parameters, learning rate and code."""
    return scope_key(
        {
            "params": params.model_dump(exclude=CHANGE_NOTHING),
            "lr": lr,
            # as it was found out: a run must not go on in another format on another machine
            "precision": precision,
            "images": [content_digest(data.train_images), content_digest(data.test_images)],
            "sets": [_set_digest(s) for s in (data.train_set, data.val_set, data.test_set)],
            "code": code_digest(),
        }
    )


def _set_digest(subset: AugmentedSet) -> list[Any]:
    indices = hashlib.sha256(subset.indices.tobytes()).hexdigest()
    return [subset.name, indices, subset.transforms, subset.mean, subset.std]


def code_digest() -> str:
    """SHA-256 of the modules that training runs through, without comments and docstrings."""
    core = Path(__file__).parents[1]
    files = [core / "device.py", *(core / "data" / f"{name}.py" for name in DATA_MODULES)]
    files += [path for stage in ("network", "training") for path in sorted((core / stage).glob("*.py"))]
    sha = hashlib.sha256()
    for path in files:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node) is not None:
                node.body = node.body[1:]
        sha.update(f"{path.name}\n{ast.dump(tree)}\n".encode())
    return sha.hexdigest()
