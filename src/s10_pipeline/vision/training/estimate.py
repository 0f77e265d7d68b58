"""How long training will take, found out by a few batches before anything long starts."""

import logging
import math
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

import torch

from ..data.image_set import ImageSet
from ..data.loader import Batch, TrainLoader
from ..data.split import Split
from ..data.workers import num_cores, resolve_num_workers
from ..device import choose_device, choose_precision, describe_device, explain_out_of_memory
from .checks import check_batch_size, check_device
from .measuring import measure
from .model import build_classifier
from .optimizer import build_optimizer
from .params import DistributedParams, TrainParams
from .resizing import size_in
from .step import WARMUP_STEPS, build_step, own_stream
from .trainer import train_epoch

log = logging.getLogger(__name__)

# A probe ends after so many batches or seconds, whichever is first.
MAX_BATCHES, MAX_SECONDS = 8, 1.0

# Steps that are timed on a GPU.
NUM_CUDA_STEPS = 20

# On a CPU, a network of more weights that would train for longer is better left to a GPU.
BIG_NETWORK, LONG_SECONDS = 2_000_000, 30 * 60


@dataclass(frozen=True)
class Speed:
    """Seconds an image, in one process.

    Attributes:
        step: of forward, backward and optimiser.
        data: of reading and augmenting it, in one process.
        measuring: of a forward pass alone.
        num_weights: of the network.
        where: device and precision, for people.
    """

    step: float
    data: float
    measuring: float
    num_weights: int
    where: str

    def images_per_second(self, num_workers: int, area: float = 1.0) -> float:
        """Of training: workers prepare batches while the network computes, one process does both in turn.

        Args:
            area: of the images that the network sees, as a share of the whole.
        """
        step = area * self.step
        return 1 / max(step, self.data / num_workers) if num_workers else 1 / (step + self.data)


def probe_speed(images: ImageSet, train_set: Split, train: TrainParams, num_processes: int = 1) -> Speed:
    """Train a throw-away copy of the network on a few real batches; weights, optimiser and RNG of others stay.

    Args:
        num_processes: how many share a batch; the share of one is what is tried.

    Raises:
        UserError: device or precision do not fit, or a batch does not fit into memory.
    """
    device = choose_device(train.device)
    precision, on_cuda = choose_precision(train.precision, device), device.type == "cuda"
    with (
        torch.random.fork_rng([device] if device.type == "cuda" else []),
        explain_out_of_memory(train.batch_size, device),
        own_stream(device),
    ):
        model = build_classifier(images, train_set, train).to(device)
        optimizer = build_optimizer(model, train, lr=1e-9)
        loader = TrainLoader(
            images, train_set, train.batch_size, train.seed, pin_memory=on_cuda, num_ranks=num_processes
        )
        step = build_step(model, optimizer, precision, train)
        batches = chain.from_iterable(map(loader.epoch, (0, 1)))  # one batch may be an epoch
        first = next(batches)
        # the first step chooses kernels, the second still asks for memory, later ones are captured
        train_epoch(step, [first] * (WARMUP_STEPS + 1 if on_cuda else 2), epoch=0)
        sums, timing = train_epoch(step, _a_few(batches), epoch=0)
        num_images, waiting = int(sums.num_images), timing.waiting_seconds
        data, steps = waiting / num_images, (timing.seconds - waiting) / num_images
        if on_cuda:  # which computes while this process prepares the next batch
            sums, timing = train_epoch(step, [first] * NUM_CUDA_STEPS, epoch=0)
            steps = timing.seconds / int(sums.num_images)
        started = time.perf_counter()
        measured, _ = measure(model, [first], precision)
        measured.accuracy()  # waits for the device
        measuring = (time.perf_counter() - started) / int(measured.num_images)
    num_weights = sum(p.numel() for p in model.parameters())
    where = f"{describe_device(device)}, {precision.name}"
    return Speed(steps, data, measuring, num_weights, where)


def _a_few(batches: Iterator[Batch]) -> Iterator[Batch]:
    started = time.perf_counter()
    for number, batch in enumerate(batches):
        yield batch
        if number + 1 == MAX_BATCHES or time.perf_counter() - started > MAX_SECONDS:
            return


def announce(
    images: ImageSet, train_set: Split, train: TrainParams, *, range_test: int = 0, epochs: range, num_measured: int
) -> None:
    """Log device, precision, speed and about how long it will take; advise against the hopeless.

    Args:
        range_test: batches of the range tests that are still to come.
        epochs: of training still to come, counted from 1; empty where there is none to tell of.
        num_measured: images that each epoch's end is measured on (validation and test).
    """
    if not range_test and not epochs:
        return
    device = choose_device(train.device)
    check_batch_size(train_set, train)
    check_device(train, device)
    if device.type == "cpu" and hasattr(os, "getloadavg"):
        _advise_threads(torch.get_num_threads(), os.getloadavg()[0])
    # the range test runs in one process
    distributed = train.distributed if epochs else DistributedParams()
    speed = probe_speed(images, train_set, train, distributed.num_ranks)
    alone = speed.images_per_second(resolve_num_workers(train.num_workers, device))
    workers_each = resolve_num_workers(train.num_workers, device, distributed.num_processes)
    together = distributed.num_ranks * speed.images_per_second(workers_each)
    searching = range_test * train.batch_size / alone
    training = 0.0
    for epoch in epochs:
        area = math.prod(size_in(epoch, images.image_size, train)) / math.prod(images.image_size)
        seconds = len(train_set) / speed.images_per_second(workers_each, area) + num_measured * area * speed.measuring
        training += seconds / distributed.num_ranks
    parts = [f"range test about {in_words(searching)}"] if range_test else []
    if epochs:
        parts.append(f"{len(epochs)} {'epoch' if len(epochs) == 1 else 'epochs'} about {in_words(training)}")
    log.info(
        "%s%s: about %.0f images/s; %s",
        f"{distributed.num_ranks} x " if distributed.num_ranks > 1 else "", speed.where, together, ", ".join(parts),
    )  # fmt: skip
    if device.type == "cpu" and speed.num_weights > BIG_NETWORK and searching + training > LONG_SECONDS:
        log.warning(
            "this network (%.1f million weights) is meant for a GPU, and there is none: --env=cpu has a smaller one "
            "for processors, --env=sample takes two minutes; Ctrl-C ends this run",
            speed.num_weights / 1e6,
        )


def _advise_threads(num_threads: int, load: float) -> None:
    """Warn where cores are busy or limited: a step takes as long as the thread that waits longest for a core."""
    # the load counts processes on all cores, this one too
    free = max(1, min(num_cores(), int((os.cpu_count() or 1) + 1 - load)))
    if num_threads > free:
        found = num_threads, num_cores(), load, free
        log.warning(
            "%d threads compute, on %d cores at a load of %.1f; unless it falls, set OMP_NUM_THREADS=%d", *found
        )


def in_words(seconds: float) -> str:
    """Two figures at most: 42 s, 12 min, 3 h 20 min, 2 d 5 h."""
    if seconds < 100:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60 // 10 * 10} min"
    return f"{minutes // 1440} d {minutes % 1440 // 60} h"
