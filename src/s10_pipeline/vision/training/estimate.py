"""Estimate how long training will take, by timing a few batches before it starts."""

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

# Largest number of batches that are loaded to time data loading.
MAX_BATCHES = 8

# Time limit in seconds for the batches that are loaded to time data loading.
MAX_SECONDS = 1.0

# Number of training steps that are timed on a GPU to estimate the duration of training.
NUM_CUDA_STEPS = 20

# On a CPU, a warning recommends a smaller recipe if the network has more than BIG_NETWORK weights and would train for
# more than LONG_SECONDS (range tests included).
BIG_NETWORK, LONG_SECONDS = 2_000_000, 30 * 60


@dataclass(frozen=True)
class Speed:
    """Measured speed of training, as seconds per image in one process.

    Attributes:
        step: seconds for forward pass, backward pass and optimiser.
        data: seconds for reading and augmenting the image in one process.
        measuring: seconds for a forward pass alone.
        num_weights: number of the network's parameters.
        where: device and precision, for people.
    """

    step: float
    data: float
    measuring: float
    num_weights: int
    where: str

    def images_per_second(self, num_workers: int, area: float = 1.0) -> float:
        """Return the speed of training in images per second.

        With workers, data is loaded during computation, so the slower of the two decides. Without, both times add up.

        Args:
            num_workers: data-loading processes.
            area: area of the (resized) images that the network trains on, relative to whole images.
        """
        step = area * self.step
        return 1 / max(step, self.data / num_workers) if num_workers else 1 / (step + self.data)


def probe_speed(images: ImageSet, train_set: Split, train: TrainParams, num_processes: int = 1) -> Speed:
    """Measure the speed by training a throw-away network on a few real batches; random-number states are restored.

    Args:
        num_processes: number of processes that share each batch; the probe trains on the share of one.

    Raises:
        UserError: the device or precision is not available, or a batch does not fit into memory.
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
        # Take batches of two epochs, because one epoch may have only one batch.
        batches = chain.from_iterable(map(loader.epoch, (0, 1)))
        first = next(batches)
        # Run the first steps without timing them: they choose kernels and allocate memory. On CUDA, the step after
        # WARMUP_STEPS others is captured as a CUDA graph, so do not time it either.
        train_epoch(step, [first] * (WARMUP_STEPS + 1 if on_cuda else 2), epoch=0)
        sums, timing = train_epoch(step, _a_few(batches), epoch=0)
        num_images, waiting = int(sums.num_images), timing.waiting_seconds
        data, steps = waiting / num_images, (timing.seconds - waiting) / num_images
        if on_cuda:  # time steps without data loading, because they run while the CPU prepares the next batch
            sums, timing = train_epoch(step, [first] * NUM_CUDA_STEPS, epoch=0)
            steps = timing.seconds / int(sums.num_images)
        for _ in range(2):  # time only the second pass, because the first one also chooses kernels
            started = time.perf_counter()
            measured, _ = measure(model, [first], precision)
            measured.accuracy()  # wait for the device
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
    """Log device, precision, speed and estimated time of a training; warn if a CPU is too slow for the network.

    Args:
        range_test: number of batches of the range tests still to run.
        epochs: numbers of the training epochs still to run, from 1; may be empty.
        num_measured: number of images (validation and test) that are measured after each epoch.
    """
    if not range_test and not epochs:
        return
    device = choose_device(train.device)
    check_batch_size(train_set, train)
    check_device(train, device)
    if device.type == "cpu" and hasattr(os, "getloadavg"):
        _advise_threads(torch.get_num_threads(), os.getloadavg()[0])
    # Without epochs to train, time a single process, because the range test runs in one process.
    distributed = train.distributed if epochs else DistributedParams()
    speed = probe_speed(images, train_set, train, distributed.num_ranks)
    alone = speed.images_per_second(resolve_num_workers(train.num_workers, device))
    workers_each = resolve_num_workers(train.num_workers, device, distributed.num_processes)
    count = float(distributed.num_ranks)
    if device.type == "cpu":  # the processes of a host share the threads that the probe used alone
        threads = torch.get_num_threads()
        count *= max(1, threads // distributed.num_processes) / threads
    together = count * speed.images_per_second(workers_each)
    searching = range_test * train.batch_size / alone
    training = 0.0
    for epoch in epochs:
        area = math.prod(size_in(epoch, images.image_size, train)) / math.prod(images.image_size)
        # Only training images are scaled down; validation and test images are measured at full size in every epoch.
        seconds = len(train_set) / speed.images_per_second(workers_each, area) + num_measured * speed.measuring
        training += seconds / count
    parts = [f"range test about {in_words(searching)}"] if range_test else []
    if epochs:
        parts.append(f"{len(epochs)} {'epoch' if len(epochs) == 1 else 'epochs'} about {in_words(training)}")
    log.info(
        "training speed on %s%s: about %.0f images/s; estimated time: %s",
        f"{distributed.num_ranks} x " if distributed.num_ranks > 1 else "", speed.where, together, ", ".join(parts),
    )  # fmt: skip
    if device.type == "cpu" and speed.num_weights > BIG_NETWORK and searching + training > LONG_SECONDS:
        log.warning(
            "this network (%.1f million weights) is meant for a GPU, but this run uses the CPU; press Ctrl-C and use "
            "--env=cpu, which has a smaller network, or --env=sample, which takes two minutes",
            speed.num_weights / 1e6,
        )


def _advise_threads(num_threads: int, load: float) -> None:
    """Warn if torch uses more threads than there are idle cores, because each step waits for its slowest thread."""
    # Add 1 to the number of idle cores, because the load average counts this process too.
    free = max(1, min(num_cores(), int((os.cpu_count() or 1) + 1 - load)))
    if num_threads > free:
        found = num_threads, num_cores(), load, free
        log.warning(
            "%d threads on %d cores are slow at a load average of %.1f; free cores, or set OMP_NUM_THREADS=%d", *found
        )


def in_words(seconds: float) -> str:
    """Return a duration in at most two units: 42 s, 12 min, 3 h 20 min, 2 d 5 h."""
    if seconds < 100:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60 // 10 * 10} min"
    return f"{minutes // 1440} d {minutes % 1440 // 60} h"
