"""The runner of this project, and its rules of what makes a stage stale."""

import json
import platform
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from .parameters import Parameters
from .staleness.fingerprint import Rules, Versions
from .staleness.kedro_internals import is_local, path_of
from .staleness.runner import StalenessRunner
from .vision.errors import UserError
from .vision.training.git_state import describe_git_state


def describe(parameters: dict[str, Any]) -> dict[str, Any]:
    """Return facts for the record of a node that ran: its device and the Git state of the code."""
    checkout = describe_git_state()
    git = {"commit": checkout["commit"], "dirty": checkout["uncommitted_changes"]} if checkout else {}
    return {"device": _describe_device(parameters.get("train.device")), "git": git}


def _describe_device(requested: str | None) -> str:
    """Describe the device that ``train.device`` chose; the CPU for a node without this parameter."""
    if requested is None or "torch" not in sys.modules:
        return f"cpu ({platform.machine()})"
    from .vision import device

    try:
        return device.describe_device(device.choose_device(requested))
    except UserError:
        return requested


def compare_rates(catalog: Any, node: str) -> str:
    """Explain for ``kedro stages`` why the model's learning rate differs from ``best_lr``; empty if it does not.

    They differ if an interrupted training was resumed at its own rate after the range test found another one.
    """
    made = catalog["provenance"].load() if node == "train_resnet" else {}
    if made.get("model", {}).get("lr_from") != "interrupted training":
        return ""
    return f"resumed at its own rate, {made['model']['lr']:.4g}; best_lr is {made['lr_search']['lr']:.4g}"


def finished_without_model(catalog: Any, kept: Versions) -> list[Path]:
    """Return the checkpoint folders of finished trainings whose model is not among the versions to keep.

    Models on a remote file system are all kept, because ``kedro prune`` removes local files only.

    Args:
        kept: (dataset, version) each.
    """
    from filelock import FileLock, Timeout

    if not is_local(catalog["provenance"]):
        return []
    named = set()
    for version in (version for name, version in kept if name == "provenance"):
        with suppress(OSError, ValueError, KeyError):
            path = Path(str(path_of(catalog["provenance"], version)))
            named.add(json.loads(path.read_text(encoding="utf-8"))["checkpoints"])
    folders = []
    for mark in sorted(Path(catalog["checkpoints"].filepath).glob("*/finished.json")):
        with suppress(Timeout), FileLock(mark.parent / "owner.lock", timeout=0):
            folders += [mark.parent] if mark.parent.name not in named else []
    return folders


def list_images(parameters: dict[str, Any]) -> dict[str, list[Path]]:
    """Return the image files that a table at ``ingest.path`` names, so that a changed image makes a stage stale."""
    if parameters.get("ingest.source") != "csv":
        return {}
    from .vision.data.sources.table import list_rows

    columns = {role: parameters[f"ingest.columns.{role}"] for role in ("file", "label")}
    with suppress(UserError):
        rows, root, _ = list_rows(parameters["ingest.path"], parameters["ingest.image_root"], columns)
        return {"the images that ingest.path names": [root / place for place in sorted(set(rows["place"])) if place]}
    return {}


# The dataset ``checkpoints`` is harmless, because the result of a training does not depend on where it resumes.
RULES = Rules(
    package="s10_pipeline",
    parameters=Parameters,
    path_parameters=("ingest.path", "ingest.corrections", "train.pretrained.path", "predict.path"),
    listed_files=list_images,
    harmless_inputs=("checkpoints",),
    harmless_libraries=("filelock", "rich"),
    describe=describe,
    remark=compare_rates,
    unneeded=finished_without_model,
)


class Runner(StalenessRunner):
    """The default runner of ``kedro run`` in this project."""

    rules = RULES
