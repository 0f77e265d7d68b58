"""Default runner of ``kedro run``, and the rules by which it decides which stages have outdated outputs."""

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
    """Return device and Git state for a node's run record (JSON file that stores what the node read and wrote)."""
    checkout = describe_git_state()
    git = {"commit": checkout["commit"], "dirty": checkout["uncommitted_changes"]} if checkout else {}
    return {"device": _describe_device(parameters.get("train.device")), "git": git}


def _describe_device(requested: str | None) -> str:
    """Describe the device that ``train.device`` selects, or the CPU for a node without this parameter."""
    if requested is None or "torch" not in sys.modules:
        return f"cpu ({platform.machine()})"
    from .vision import device

    try:
        return device.describe_device(device.choose_device(requested))
    except UserError:
        return requested


def compare_rates(catalog: Any, node: str) -> str:
    """Return a remark for ``kedro stages`` if a resumed training kept another learning rate than ``best_lr``, else "".

    An interrupted training is resumed at its own rate, even if the range test has found another rate since.
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
    """Return the image files that the table ``ingest.path`` names, so that a changed image makes stages run again."""
    if parameters.get("ingest.source") != "csv":
        return {}
    from .vision.data.sources.table import list_rows

    columns = {role: parameters[f"ingest.columns.{role}"] for role in ("file", "label")}
    with suppress(UserError):
        rows, root, _ = list_rows(parameters["ingest.path"], parameters["ingest.image_root"], columns)
        return {"the images that ingest.path names": [root / place for place in sorted(set(rows["place"])) if place]}
    return {}


# The input ``checkpoints`` never makes a stage stale, because a training ends with the same result wherever it resumes.
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
