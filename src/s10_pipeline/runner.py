"""The runner of this project, and the one place that says what cannot make a stage stale."""

import platform
import sys
from typing import Any

from .caching.fingerprint import Rules
from .caching.runner import CachingRunner
from .vision.errors import UserError
from .vision.training.checkout import describe_checkout


def describe(parameters: dict[str, Any]) -> dict[str, Any]:
    """For the records of a node that ran: what computed, and the state of the code's checkout."""
    checkout = describe_checkout()
    git = {"commit": checkout["commit"], "dirty": checkout["uncommitted_changes"]} if checkout else {}
    return {"device": _describe_device(parameters.get("train.device")), "git": git}


def _describe_device(requested: str | None) -> str:
    """What ``train.device`` came to, or the CPU where a node is not handed one."""
    if requested is None or "torch" not in sys.modules:
        return f"cpu ({platform.machine()})"
    from .vision import device

    try:
        return device.describe_device(device.choose_device(requested))
    except UserError:
        return requested


RULES = Rules(
    package="s10_pipeline",
    # Whatever is not named here decides results, new parameters too.
    harmless_parameters=(
        "ingest.download_dir",  # the archive's checksum is checked
        "ingest.mirrors",
        "train.device",
        "train.num_workers",
        "train.keep_checkpoints",
        "train.cuda_graph",
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
