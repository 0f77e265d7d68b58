"""One pass over images: with gradients to train, without to measure."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ..data.loader import Batch
from ..device import Precision, no_autotuning
from ..errors import UserError
from ..network.classifier import Classifier
from .metric_sums import MetricSums
from .optimizer import training_loss
from .resizing import resize_batch
from .step import Step

# The bar's figures come from the device, and asking for them waits until it is done: so only now and then.
SECONDS_BETWEEN_PROGRESS = 0.5


class DivergedError(UserError):
    """The loss became NaN or infinite."""


@dataclass(frozen=True)
class EpochTiming:
    """Seconds of one training epoch, and how many of them were spent waiting for batches."""

    seconds: float
    waiting_seconds: float


def train_epoch(
    step: Step,
    batches: Iterable[Batch],
    *,
    epoch: int,
    set_lr: Callable[[int], float],
    on_progress: Callable[[MetricSums, int], None],
    batch_weight: Callable[[int], float] = lambda _number: 1.0,
    size: tuple[int, int] | None = None,
    after_step: Callable[[], None] = lambda: None,
) -> tuple[MetricSums, EpochTiming]:
    """Train on each batch once.

    Args:
        step: trains on one batch; the network that it trains is in training mode.
        batches: uint8 images (B, 3, H, W) and labels (B,), on the CPU.
        epoch: for the error.
        set_lr: called with the number of the batch (from 0) before each step; returns the learning rate.
        on_progress: called every half second with the sums so far and the number of batches done.
        batch_weight: factor of a batch's loss (by number, from 0), where other processes hold the rest of the batch.
        size: height and width that images are scaled to on the device; None: as they are.
        after_step: called after each step.

    Raises:
        DivergedError: naming epoch, batch and learning rate.
    """
    step.reset()
    started = last_progress = time.perf_counter()
    waiting = lr = 0.0
    for number, (batch, seconds) in enumerate(_timed(batches)):
        waiting += seconds
        images_bchw, labels_b = batch
        if size is not None and tuple(images_bchw.shape[2:]) != size:
            images_bchw = resize_batch(images_bchw.to(step.metrics.loss.device, non_blocking=True), size)
        lr = set_lr(number)
        step(images_bchw, labels_b, batch_weight(number))
        after_step()
        now = time.perf_counter()
        if now - last_progress > SECONDS_BETWEEN_PROGRESS:
            last_progress = now
            _check_finite(step.first_bad, epoch, lr)
            on_progress(step.metrics, number + 1)
    _check_finite(step.first_bad, epoch, lr)
    return step.metrics.copy(), EpochTiming(time.perf_counter() - started, waiting)


def _timed(batches: Iterable[Batch]) -> Iterator[tuple[Batch, float]]:
    """Each batch, and the seconds that it was waited for."""
    iterator = iter(batches)
    while True:
        asked = time.perf_counter()
        batch = next(iterator, None)
        if batch is None:
            return
        yield batch, time.perf_counter() - asked


def _check_finite(first_bad: Tensor, epoch: int, lr: float) -> None:
    batch = int(first_bad)
    if batch:
        raise diverged(lr, epoch, batch)


def diverged(lr: float, epoch: int, batch: int) -> DivergedError:
    """The error that names where the loss was lost.

    Args:
        lr: of the schedule then: no value of ``train.lr``, which may be null.
    """
    return DivergedError(
        f"train: the loss was not finite at learning rate {lr:g}, in epoch {epoch}, batch {batch}; give a lower "
        "train.lr, or null, which takes the range test's (earlier epochs and artifacts are kept)"
    )


@torch.inference_mode()
def measure(
    model: Classifier, batches: Iterable[Batch], precision: Precision, size: tuple[int, int] | None = None
) -> MetricSums:
    """Loss and accuracy without gradients, on images scaled to ``size``; the model's mode is restored."""
    was_training = model.training
    model.eval()
    sums = MetricSums.zero(precision.device)
    # trying out convolutions takes longer than a few batches of each shape can win back
    with no_autotuning():
        for batch in batches:
            images_bchw, labels_b = (t.to(precision.device, non_blocking=True) for t in batch)
            if size is not None:
                images_bchw = resize_batch(images_bchw, size)
            with precision.autocast():
                logits_bk = model(images_bchw)
            sums.add(training_loss(logits_bk, labels_b, 0.0), logits_bk, labels_b)
    model.train(was_training)
    return sums
