"""Training throughput of this project against a bare step and a plain loop, in turn in one run.

    python benchmarks/throughput.py [--depth 18 --width 64 --batch-size 128 --batches 6 --rounds 3]

Prints images per second and ratios, and keeps them in benchmarks/results/throughput-<hardware>-<date>.md.
Absolute figures depend on what else the machine does; the ratios of one run are what counts.
"""

import argparse
import datetime
import platform
import re
import statistics
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from s10_pipeline.vision.data.augmented import AugmentedSet, build_sets
from s10_pipeline.vision.data.image_set import ImageSet
from s10_pipeline.vision.data.loader import TrainLoader, resolve_num_workers
from s10_pipeline.vision.data.params import AugmentParams
from s10_pipeline.vision.device import Precision, choose_device, choose_precision, describe_device
from s10_pipeline.vision.network.classifier import Classifier
from s10_pipeline.vision.training.epoch import train_epoch
from s10_pipeline.vision.training.params import TrainParams
from s10_pipeline.vision.training.setup import build_classifier, build_optimizer

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
    """Random images, and a network for them."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.num_images = arguments.batches * arguments.batch_size
        rng = np.random.default_rng(0)
        n = round(self.num_images / 0.9) + 20
        pixels = rng.integers(0, 256, (n, 32, 32, 3), np.uint8)
        labels = np.arange(n, dtype=np.int64) % 10
        self.images = ImageSet(pixels, labels, tuple("abcdefghij"))
        train_set = build_sets(self.images, self.images, AUGMENT)[0]
        self.train_set = AugmentedSet(
            "train", train_set.indices[: self.num_images], train_set.transforms, train_set.mean, train_set.std
        )
        architecture = {"depth": arguments.depth, "width": arguments.width}
        self.params = TrainParams.model_validate({"batch_size": arguments.batch_size, "architecture": architecture})
        self.device = choose_device("auto")
        self.precision = choose_precision("auto", self.device)

    def network(self) -> Classifier:
        return build_classifier(self.images, self.train_set, self.params).to(self.device)

    def wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()


def ours(setting: Setting) -> Callable[[], None]:
    """One epoch of the training engine: loading, augmentation, step, sums."""
    model, params = setting.network(), setting.params
    optimizer = build_optimizer(model, params, 0.01)
    workers = resolve_num_workers("auto", setting.device)
    pin = setting.device.type == "cuda"
    loader = TrainLoader(setting.images, setting.train_set, params.batch_size, 0, workers, pin)
    scaler = setting.precision.grad_scaler()
    return lambda: _discard(
        train_epoch(
            model,
            loader.epoch(1),
            optimizer,
            scaler,
            setting.precision,
            label_smoothing=0.0,
            epoch=1,
            set_lr=lambda _step: None,
            note=lambda _sums, _step: None,
        )
    )


def bare_step(setting: Setting) -> Callable[[], None]:
    """The same network, batch and precision on one tensor that is on the device already."""
    model = setting.network().train()
    optimizer = build_optimizer(model, setting.params, 0.01)
    size = (setting.params.batch_size, 3, 32, 32)
    images = torch.randint(0, 256, size, dtype=torch.uint8, device=setting.device)
    images = images.contiguous(memory_format=torch.channels_last)
    labels = torch.randint(0, 10, size[:1], device=setting.device)

    def run() -> None:
        for _ in range(setting.num_images // setting.params.batch_size):
            _step(model, optimizer, setting.precision, images, labels)

    return run


def plain_loop(setting: Setting) -> Callable[[], None]:
    """What a tutorial does: fp32, a DataLoader over single images, torchvision's transforms."""
    model = setting.network().to(memory_format=torch.contiguous_format).train()
    optimizer = build_optimizer(model, setting.params, 0.01)
    augment = transforms.Compose(
        [
            transforms.ToPILImage(),
            transforms.RandomCrop(32, 4),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
        ]
    )

    class Images(Dataset[tuple[torch.Tensor, int]]):
        def __len__(self) -> int:
            return setting.num_images

        def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
            return augment(setting.images.images_nhwc[i]), int(setting.images.labels[i])

    loader = DataLoader(Images(), setting.params.batch_size, shuffle=True, num_workers=2)
    precision = Precision("fp32", setting.device)

    def run() -> None:
        for images, labels in loader:
            _step(model, optimizer, precision, (images * 255).to(setting.device), labels.to(setting.device))

    return run


def _step(model: Classifier, optimizer: torch.optim.SGD, precision: Precision, *batch: torch.Tensor) -> None:
    images, labels = batch
    with precision.autocast():
        logits = model(images)
    optimizer.zero_grad()
    F.cross_entropy(logits.float(), labels).backward()
    optimizer.step()


def _discard(_result: object) -> None:
    pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("depth", 18), ("width", 64), ("batch-size", 128), ("batches", 6), ("rounds", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    arguments = parser.parse_args()
    setting = Setting(arguments)
    contenders = {"this project": ours, "bare step": bare_step, "plain fp32 loop": plain_loop}
    runs = {name: make(setting) for name, make in contenders.items()}
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for round_number in range(arguments.rounds + 1):
        for name, run in runs.items():
            setting.wait()
            started = time.perf_counter()
            run()
            setting.wait()
            if round_number:  # the first warms up
                seconds[name].append(time.perf_counter() - started)
    report(arguments, setting, seconds)


def report(arguments: argparse.Namespace, setting: Setting, seconds: dict[str, list[float]]) -> None:
    """Print the table and keep it."""
    speed = {name: setting.num_images / statistics.median(times) for name, times in seconds.items()}
    hardware = describe_device(setting.device)
    lines = [
        f"# Training throughput, {hardware}, {datetime.date.today()}",
        "",
        f"Command: `python {' '.join(sys.argv)}`. ResNet-{arguments.depth}, width {arguments.width}, batch "
        f"{arguments.batch_size}, 32x32 images, {setting.precision.name} (plain loop: fp32); median of n = "
        f"{arguments.rounds} rounds of {arguments.batches} batches, in turn, after one to warm up.",
        f"{platform.machine()}, {platform.system()}, Python {platform.python_version()}, torch {version('torch')}, "
        f"albumentations {version('albumentations')}.",
        "",
        "| what | images/s | this project is |",
        "| --- | ---: | ---: |",
        *(f"| {name} | {value:.0f} | {speed['this project'] / value:.2f} x |" for name, value in speed.items()),
    ]
    page = "\n".join(lines) + "\n"
    print(page)
    RESULTS.mkdir(exist_ok=True)
    slug = re.sub(r"[^a-z0-9]+", "-", f"{hardware} {platform.machine()}".lower()).strip("-")
    (RESULTS / f"throughput-resnet{arguments.depth}x{arguments.width}-{slug}-{datetime.date.today()}.md").write_text(
        page
    )


if __name__ == "__main__":
    main()
