"""Measure the speed of the training loader and of its parts: augmentation, and sending batches between processes.

    python benchmarks/loader.py [--images 20000 --rounds 3]

Prints images per second and stores them in benchmarks/results/. The parts run one after the other on one core, after
one warm-up round. A message is the group of batches that a worker sends at once.
"""

import argparse
import datetime
import statistics
import time
from collections.abc import Callable
from dataclasses import replace

from s10_pipeline.vision.data import loader as loader_module
from s10_pipeline.vision.data.loader import AugmentedImages, TrainLoader
from setting import Setting, command, hardware, in_turn, keep, versions

BATCH_SIZE = 128


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    setting = Setting(arguments.images, 8, 16, BATCH_SIZE)
    runs: dict[str, Callable[[], float]] = {
        "reading and augmenting, no worker": in_process(setting, augmented=True),
        "reading alone, no worker": in_process(setting, augmented=False),
    }
    for num_batches in (1, 5, 10):
        runs[f"reading and sending, 1 worker, {num_batches} batches a message"] = sending(setting, num_batches)
    for num_workers in (1, max(2, setting.num_workers)):
        runs[f"the whole loader, {num_workers} workers"] = whole(setting, num_workers)
    seconds = in_turn(runs, arguments.rounds)
    lines = [
        f"# What the loader delivers, {hardware()}, {datetime.date.today()}",
        "",
        f"Command: {command()}. {arguments.images:,} images of 32x32, batches of {BATCH_SIZE}, `base`'s augmentation; "
        f"n = {arguments.rounds} rounds in turn: median (lowest to highest).",
        versions(),
        "",
        "| what | images/s |",
        "| --- | ---: |",
    ]
    for name, times in seconds.items():
        speeds = [arguments.images / s for s in times]
        lines.append(f"| {name} | {statistics.median(speeds):,.0f} ({min(speeds):,.0f} to {max(speeds):,.0f}) |")
    keep("loader", lines)


def in_process(setting: Setting, augmented: bool) -> Callable[[], float]:
    subset = setting.train_set if augmented else replace(setting.train_set, transforms=[])
    dataset = AugmentedImages(setting.images, subset, seed=0)
    keys = [(1, int(index)) for index in subset.indices]

    def run() -> float:
        started = time.perf_counter()
        for start in range(0, len(keys), BATCH_SIZE):
            dataset.__getitems__([keys[start : start + BATCH_SIZE]])
        return time.perf_counter() - started

    return run


def sending(setting: Setting, num_batches: int) -> Callable[[], float]:
    message_bytes = loader_module.MESSAGE_BYTES
    loader_module.MESSAGE_BYTES = num_batches * BATCH_SIZE * setting.images.images_nhwc[0].nbytes
    try:
        plain = replace(setting.train_set, transforms=[])
        return epoch_of(TrainLoader(setting.images, plain, BATCH_SIZE, seed=0, num_workers=1))
    finally:
        loader_module.MESSAGE_BYTES = message_bytes


def whole(setting: Setting, num_workers: int) -> Callable[[], float]:
    on_cuda = setting.device.type == "cuda"
    return epoch_of(TrainLoader(setting.images, setting.train_set, BATCH_SIZE, 0, num_workers, pin_memory=on_cuda))


def epoch_of(loader: TrainLoader) -> Callable[[], float]:
    def run() -> float:
        started = time.perf_counter()
        for _batch in loader.epoch(1):
            pass
        return time.perf_counter() - started

    return run


if __name__ == "__main__":
    main()
