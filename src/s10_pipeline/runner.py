"""The runner of this project, and the one place that says what cannot make a stage stale."""

import functools
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

from .caching.fingerprint import Rules
from .caching.runner import CachingRunner
from .vision.errors import UserError


def describe(parameters: dict[str, Any]) -> dict[str, Any]:
    """For the records of a node that ran: what computed, and the state of the code's checkout."""
    return {"device": _describe_device(parameters.get("train.device")), "git": _describe_git()}


def _describe_device(requested: str | None) -> str:
    """What ``train.device`` came to, or the CPU where a node is not handed one."""
    if requested is None or "torch" not in sys.modules:
        return f"cpu ({platform.machine()})"
    from .vision import device

    try:
        return device.describe_device(device.choose_device(requested))
    except UserError:
        return requested


@functools.cache
def _describe_git() -> dict[str, Any]:
    """Commit of the checkout that holds the package, and whether files of it differ; empty where there is none."""

    def git(*arguments: str) -> str:
        folder, command = Path(__file__).parent, ["git", *arguments]
        return subprocess.run(
            command, cwd=folder, capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", "__init__.py")  # a checkout around an installed package is another project's
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain", "."))}
    except (OSError, subprocess.SubprocessError):
        return {}


RULES = Rules(
    package="s10_pipeline",
    # Whatever is not named here decides results, new parameters too.
    harmless_parameters=(
        "ingest.download_dir",  # the archive's checksum is checked
        "ingest.mirrors",
        "train.device",
        "train.num_workers",
        "train.keep_checkpoints",
        "train.distributed.max_restarts",
    ),
    only_parameters={
        # of train, what its few batches depend on
        "lr_range_test": (
            "lr_search",
            "train.architecture",
            "train.batch_size",
            "train.lr",  # stands in for a suggestion where the test diverges
            "train.momentum",
            "train.nesterov",
            "train.weight_decay",
            "train.decay_norm_and_bias",
            "train.label_smoothing",
            "train.precision",
            "train.seed",
        ),
    },
    path_parameters=("ingest.path", "predict.path"),
    harmless_inputs=("checkpoints",),
    harmless_libraries=("filelock", "rich"),
    describe=describe,
)


class Runner(CachingRunner):
    """What ``kedro run`` takes in this project unless ``--runner`` says otherwise."""

    rules = RULES
