"""The runner of this project, and the one place that says what cannot make a stage stale."""

import platform
import sys

from .caching.fingerprint import Rules
from .caching.runner import CachingRunner


def describe_device() -> str:
    """The device that torch would choose; the CPU where nothing has loaded torch."""
    if "torch" not in sys.modules:
        return f"cpu ({platform.machine()})"
    from .vision.device import choose_device, describe_device

    return describe_device(choose_device("auto"))


RULES = Rules(
    package="s10_pipeline",
    # Whatever is not named here decides results, new parameters too.
    harmless_parameters=(
        "ingest.download_dir",  # the archive's checksum is checked
        "ingest.mirrors",
        "train.device",
        "train.num_workers",
        "train.keep_checkpoints",
        "train.compile",
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
    describe_device=describe_device,
)


class Runner(CachingRunner):
    """What ``kedro run`` takes in this project unless ``--runner`` says otherwise."""

    rules = RULES
