"""Compute the run key of a training: a digest of everything that its result depends on.

It names the folder of the training's checkpoints, so a run with an equal key resumes from them.
"""

import functools
import os
from pathlib import Path
from typing import Any

from ...identity.affects import can_change
from ...identity.differences import Parts, changes_in_words, flatten
from ...identity.digests import digest_of, hash_file
from ...identity.reach import Reach
from ...identity.source import Package
from ..data.image_set import content_digest
from ..data.split import Split, indices_digest
from .checkpoints import CheckpointStore, RunCheckpoints
from .data import TrainingData
from .params import LOOK_AT_EPOCHS, TrainParams

# Entry points of the code that computes the result, as (module, name). All project code that they reach is part of the
# run key, so a new module is included automatically. Code that starts, reports or stores a training is not part of it.
ROOTS = (
    ("training.trainer", "Trainer"),
    ("distributed.ranks", "ProcessGroup"),
    ("training.ema", "trained_weights"),
    ("training.params", "TrainParams"),
    ("data.split", "Split"),
)

# Name under which the digest of the user's file of pretrained weights is recorded.
PRETRAINED = "train.pretrained.path"

# Largest factor between learning rates of range tests at which an interrupted training keeps its own rate. A rate that
# differs more was found for another reason, such as a training that diverged.
SLIGHT = 1.5


def describe_run(data: TrainingData, lr: float, params: TrainParams, precision: str) -> Parts:
    """Return everything that the result of a training depends on, in three groups: parameters, inputs and code.

    Args:
        lr: learning rate, given by the user or found by the range test.
        precision: precision that was chosen for this machine.
    """
    values = {**params.model_dump(mode="json"), "lr": lr, "precision": precision}
    decides = {
        f"train.{name}": v for name, v in flatten(values).items() if can_change(TrainParams, name, "train_resnet")
    }
    if not _what_looks_at_epochs(decides):
        # Leave the number of epochs out of the run key, because it only decides when training stops.
        del decides["train.epochs"]
    sets = (data.train_set, data.val_set, data.test_set)
    weights = params.pretrained.path
    return {
        "parameters": decides,
        "inputs": {
            "train_images": content_digest(data.train_images),
            "test_images": content_digest(data.test_images),
            **({PRETRAINED: hash_file(os.path.expanduser(weights))} if weights else {}),
            **{f"{s.name}_set.{part}": digest for s in sets for part, digest in _describe_set(s).items()},
        },
        "code": dict(training_code()),
    }


def _what_looks_at_epochs(parameters: dict[str, Any]) -> list[str]:
    """Return the names of parameters that make an epoch's learning rate or image size depend on ``train.epochs``."""
    return [name for name in (f"train.{name}" for name in LOOK_AT_EPOCHS) if parameters[name]]


def key_of(depends: Parts) -> str:
    """Return the run key, a digest of all that a training depends on; its folder of checkpoints has this name."""
    return digest_of(depends)[:16]


@functools.cache
def training_code() -> dict[str, str]:
    """Return a digest of each function, class and constant that the result of a training depends on (cached)."""
    package, folder = __name__.partition(".")[0], Path(__file__).parents[2]
    return reached_code(Package(package, folder))


def reached_code(package: Package) -> dict[str, str]:
    """Return a digest of each function, class and constant that :data:`ROOTS` use, found by reading source code."""
    starts = ((f"{package.name}.vision.{module}", name) for module, name in ROOTS)
    return Reach(package, *starts, computing=True).pieces


def rate_to_go_on_with(store: CheckpointStore, depends: Parts, epochs: int) -> float | None:
    """Return the rate at which to resume an interrupted training that differs from this one only in its learning rate.

    On another device or with another number of threads, the range test may find a slightly different rate. An
    interrupted training should resume nevertheless, with its own rate. Returns None if this training has checkpoints
    itself, or if there is no such other training whose rate is within a factor of :data:`SLIGHT`.
    """
    if RunCheckpoints(store.root / store.key_for(key_of(depends), epochs)).epochs_to_keep(epochs):
        return None

    def without_rate(parts: Parts) -> list[object]:
        return [{**parts["parameters"], "train.lr": None}, parts["inputs"], parts["code"]]

    for folder, other in reversed(store.described()):
        found = other.get("origin", {}).get("lr_found") and without_rate(other) == without_rate(depends)
        # A short trial's folder KEY-EPOCHS is no interruption of a long training in the folder KEY.
        would_resume = folder.name == store.key_for(folder.name.partition("-")[0], epochs)
        if not (found and would_resume and RunCheckpoints(folder).is_unfinished(epochs)):
            continue
        rate, now = float(other["parameters"]["train.lr"]), float(depends["parameters"]["train.lr"])
        if now / SLIGHT <= rate <= now * SLIGHT:
            return rate
    return None


def explain_fresh_start(checkpoints: RunCheckpoints, store: CheckpointStore, depends: Parts) -> str | None:
    """Return in words what changed since the last recorded training; None if nothing changed or none is recorded."""
    others = [found for folder, found in store.described() if folder.name != checkpoints.folder.name]
    if not others:
        return None
    before, now = (dict(parts["parameters"]) for parts in (others[-1], depends))
    # If only one of the two run keys contains train.epochs, report the parameter that caused this, not train.epochs.
    if ("train.epochs" in before) != ("train.epochs" in now):
        before.pop("train.epochs", None), now.pop("train.epochs", None)
    changes = changes_in_words({**others[-1], "parameters": before}, {**depends, "parameters": now})
    if before.get("train.epochs") != now.get("train.epochs"):
        changes += f" (train.epochs changes the schedule through {' and '.join(_what_looks_at_epochs(now))})"
    return f"since the last training, {changes}" if changes else None


def _describe_set(subset: Split) -> dict[str, str]:
    return {
        "indices": indices_digest(subset),
        "transforms": digest_of(subset.transforms),
        "normalisation": digest_of([*subset.mean, *subset.std]),
    }
