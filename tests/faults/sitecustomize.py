"""Makes a Python process fail at a given moment: Python imports this file at its start if it finds it on PYTHONPATH.

What happens is told by the environment variable S10_FAULT, JSON:

    at      batch (of epoch "epoch", number "batch" from 1), save (between writing and naming the checkpoint of
            "epoch"), trained (after the last epoch, before anything of the result is stored)
    do      kill, kill all (of its process group), error (of torch's kind), wait (until killed from outside; its
            process number goes into the file "waiting")
    rank    only in the training process of this rank
    once    a file that is made before, and keeps it from happening again

by S10_WITHOUT_NORM=1: networks without BatchNorm; and by S10_WAIT_SECONDS: how long hosts wait for each other.
Only tests put this folder on PYTHONPATH.
"""

import importlib.abc
import importlib.util
import json
import os
import signal
import sys
import time
from pathlib import Path

FAULT = json.loads(os.environ.get("S10_FAULT", "null"))
PACKAGE = "s10_pipeline.vision"


def fail() -> None:
    if "rank" in FAULT and os.environ.get("RANK") != str(FAULT["rank"]):
        return
    if "once" in FAULT:
        if Path(FAULT["once"]).exists():
            return
        Path(FAULT["once"]).touch()
    if FAULT["do"] == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if FAULT["do"] == "kill all":
        os.killpg(0, signal.SIGKILL)
    if FAULT["do"] == "error":
        raise RuntimeError("shapes do not fit")
    if FAULT["do"] == "wait":
        partial = Path(FAULT["waiting"]).with_suffix(".partial")
        partial.write_text(str(os.getpid()))
        partial.rename(FAULT["waiting"])
        time.sleep(600)


def patch_trainer(trainer) -> None:
    train_epoch, train = trainer.train_epoch, trainer.Trainer.train

    def failing_epoch(step, batches, *arguments, epoch, **options):
        def failing_batches():
            for number, batch in enumerate(batches, start=1):
                if FAULT["at"] == "batch" and (epoch, number) == (FAULT["epoch"], FAULT["batch"]):
                    fail()
                yield batch

        return train_epoch(step, failing_batches(), *arguments, epoch=epoch, **options)

    def failing_train(self, *arguments):
        train(self, *arguments)
        if FAULT["at"] == "trained":
            fail()

    trainer.train_epoch, trainer.Trainer.train = failing_epoch, failing_train


def patch_checkpoints(checkpoints) -> None:
    replace = os.replace

    def failing_replace(source, target):
        if FAULT["at"] == "save" and Path(target).name == f"epoch-{FAULT['epoch']:05d}.pt":
            fail()
        replace(source, target)

    checkpoints.os.replace = failing_replace


def patch_resnet(resnet) -> None:
    from torch import nn

    resnet.nn.BatchNorm2d = lambda channels: nn.Identity(channels)


def patch_launcher(launcher) -> None:
    launcher.WAIT_SECONDS = int(os.environ["S10_WAIT_SECONDS"])


PATCHES = {}
if FAULT:
    PATCHES |= {f"{PACKAGE}.training.trainer": patch_trainer, f"{PACKAGE}.training.checkpoints": patch_checkpoints}
if os.environ.get("S10_WITHOUT_NORM"):
    PATCHES |= {f"{PACKAGE}.network.resnet": patch_resnet}
if os.environ.get("S10_WAIT_SECONDS"):
    PATCHES |= {f"{PACKAGE}.distributed.launcher": patch_launcher}


class PatchAfterImport(importlib.abc.MetaPathFinder):
    """Patches modules as they are imported, without importing torch in processes that would not."""

    def find_spec(self, name, path=None, target=None):
        patch = PATCHES.pop(name, None)
        if patch is None:
            return None
        spec = importlib.util.find_spec(name)
        execute = spec.loader.exec_module

        def execute_and_patch(module):
            execute(module)
            patch(module)

        spec.loader.exec_module = execute_and_patch
        return spec


if PATCHES:
    sys.meta_path.insert(0, PatchAfterImport())
