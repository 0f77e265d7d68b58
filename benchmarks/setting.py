"""Code that several benchmarks share: random images, a network for them, command-line options, output of results."""

import argparse
import datetime
import platform
import re
import sys
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import click
import numpy as np
import torch

from s10_pipeline.identity.differences import flatten
from s10_pipeline.parameters import Parameters
from s10_pipeline.staleness.commands.params import Params
from s10_pipeline.vision.data.image_set import ImageSet
from s10_pipeline.vision.data.loader import TrainLoader
from s10_pipeline.vision.data.params import AugmentParams
from s10_pipeline.vision.data.split import Split, build_sets
from s10_pipeline.vision.data.workers import resolve_num_workers
from s10_pipeline.vision.device import choose_device, choose_precision, describe_device
from s10_pipeline.vision.network.classifier import Classifier
from s10_pipeline.vision.training.model import build_classifier
from s10_pipeline.vision.training.optimizer import build_optimizer
from s10_pipeline.vision.training.params import TrainParams
from s10_pipeline.vision.training.step import build_step, own_stream
from s10_pipeline.vision.training.trainer import train_epoch

Key = TypeVar("Key", bound=Hashable)
RESULTS = Path(__file__).parent / "results"
AUGMENT = AugmentParams.model_validate(
    {
        "train": [
            {"PaddedRandomCrop": {"padding": 0.125}},
            {"HorizontalFlip": {"p": 0.5}},
            {"Cutout": {"size": 0.5, "fill": "mean", "p": 1.0}},
        ]
    }
)


class Setting:
    """A training task on ``num_images`` random images.

    Args:
        size: side of the images in pixels.
        num_workers: number of data-loading processes, for this project and for others; or "auto".
        precision: value of ``train.precision``.
    """

    def __init__(
        self,
        num_images: int,
        depth: int,
        width: int,
        batch_size: int = 128,
        size: int = 32,
        num_workers: int | str = "auto",
        precision: str = "auto",
    ) -> None:
        self.num_images, self.size = num_images, size
        rng = np.random.default_rng(0)
        n = round(num_images / 0.9) + 20
        self.images = ImageSet(
            rng.integers(0, 256, (n, size, size, 3), np.uint8), np.arange(n, dtype=np.int64) % 10, tuple("abcdefghij")
        )
        whole = build_sets(self.images, self.images, AUGMENT)[0]
        self.train_set = Split("train", whole.indices[:num_images], whole.transforms, whole.mean, whole.std)
        architecture = {"depth": depth, "width": width, "stem": "auto"}
        self.params = TrainParams.model_validate(
            {"batch_size": batch_size, "architecture": architecture, "num_workers": num_workers}
        )
        self.device = choose_device("auto")
        self.precision = choose_precision(precision, self.device)
        self.num_workers = resolve_num_workers(self.params.num_workers, self.device)

    def network(self) -> Classifier:
        return build_classifier(self.images, self.train_set, self.params).to(self.device)

    def epoch_of_training(self, model: Classifier | None = None) -> Callable[[], float]:
        """Train one epoch with the project's engine (loading, augmentation, steps, metrics); return its seconds."""
        model = model or self.network()
        optimizer = build_optimizer(model, self.params, 0.01)
        loader = TrainLoader(
            self.images,
            self.train_set,
            self.params.batch_size,
            seed=0,
            num_workers=self.num_workers,
            pin_memory=self.device.type == "cuda",
        )
        step = build_step(model, optimizer, self.precision, self.params)

        def epoch() -> float:
            with own_stream(self.device):
                _sums, timing = train_epoch(step, loader.epoch(1), epoch=1)
            return timing.seconds

        return epoch

    def timed(self, work: Callable[[], None]) -> Callable[[], float]:
        """Run ``work``, wait for the device, and return the seconds."""

        def run() -> float:
            self.wait()
            started = time.perf_counter()
            work()
            self.wait()
            return time.perf_counter() - started

        return run

    def wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()


def in_turn(runs: Mapping[Key, Callable[[], float]], rounds: int) -> dict[Key, list[float]]:
    """Return the seconds of each run in each round, after a warm-up round.

    The runs take turns, so that other load on the machine affects all of them alike."""
    seconds: dict[Key, list[float]] = {key: [] for key in runs}
    for number in range(rounds + 1):
        for key, run in runs.items():
            took = run()
            if number:
                seconds[key].append(took)
    return seconds


def add_params(parser: argparse.ArgumentParser) -> None:
    """Add the option ``--params`` of ``kedro run``; spaces may replace the commas."""
    help_text = "parameters as of kedro run: KEY=VALUE,KEY=VALUE; may be repeated"
    parser.add_argument("--params", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help=help_text)


def params_by_key(texts: Sequence[str]) -> dict[str, Any]:
    """Return the parameters given by :func:`add_params` (dotted name -> value), parsed as by ``kedro run``."""
    option = click.Command("benchmark", params=[Params(Parameters)])
    try:
        given = option.make_context("benchmark", [f"--params={text.strip(', ')}" for text in texts]).params["params"]
    except click.ClickException as error:
        raise SystemExit(error.message) from error
    return flatten(given) if given else {}


def hardware() -> str:
    """Return the name of the CPU or GPU, for a heading."""
    device = choose_device("auto")
    name = describe_device(device)
    model = ""
    cpuinfo = Path("/proc/cpuinfo")
    if device.type == "cpu" and cpuinfo.exists():
        found = re.search(r"model name\s*:\s*(.+)", cpuinfo.read_text())
        model = f", {found[1]}" if found else ""
    return name + model


def versions(*packages: str) -> str:
    named = ", ".join(f"{package} {version(package)}" for package in ("torch", "albumentations", *packages))
    return f"{platform.machine()}, {platform.system()}, Python {platform.python_version()}, {named}."


def keep(name: str, lines: list[str], folder: Path = RESULTS) -> None:
    """Print a page and store it, by default in ``benchmarks/results/``."""
    page = "\n".join(lines) + "\n"
    print(page)
    folder.mkdir(parents=True, exist_ok=True)
    kind = "cuda" if choose_device("auto").type == "cuda" else "cpu"
    (folder / f"{name}-{kind}-{datetime.date.today()}.md").write_text(page)


def command() -> str:
    return f"`python {' '.join(sys.argv)}`"
