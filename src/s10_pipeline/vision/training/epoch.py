"""One pass over images: with gradients to train, without to measure."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..data.loader import Batch
from ..device import Precision
from ..errors import UserError
from ..network.classifier import Classifier
from .resizing import resize_batch
from .setup import training_loss

# How often the bar may ask the device for numbers: each question waits until the device is done.
SECONDS_BETWEEN_NOTES = 0.5


class DivergedError(UserError):
    """The loss became NaN or infinite."""


@dataclass
class Sums:
    """Sums over images on the device, divided once at the end.

    Attributes:
        loss: float64-safe sum of per-image cross-entropies, without label smoothing.
        correct: images whose largest logit is their label's.
        count: images.
    """

    loss: Tensor
    correct: Tensor
    count: int = 0

    @classmethod
    def zero(cls, device: torch.device) -> "Sums":
        # MPS has no float64
        dtype = torch.float32 if device.type == "mps" else torch.float64
        return cls(torch.zeros((), dtype=dtype, device=device), torch.zeros((), dtype=torch.int64, device=device))

    def add(self, loss: Tensor, logits_bk: Tensor, labels_b: Tensor) -> None:
        self.loss += loss.detach().to(self.loss.dtype) * len(labels_b)
        self.correct += (logits_bk.detach().argmax(1) == labels_b).sum()
        self.count += len(labels_b)

    def mean_loss(self) -> float:
        """Cross-entropy an image, in nats."""
        return float(self.loss) / self.count

    def accuracy(self) -> float:
        """Fraction in [0, 1]."""
        return int(self.correct) / self.count


@dataclass(frozen=True)
class EpochTiming:
    """Seconds of one training epoch, and how many of them were spent waiting for batches."""

    seconds: float
    waiting_seconds: float


def train_epoch(
    model: nn.Module,
    batches: Iterable[Batch],
    optimizer: torch.optim.SGD,
    scaler: torch.amp.GradScaler,
    precision: Precision,
    *,
    label_smoothing: float,
    epoch: int,
    set_lr: Callable[[int], None],
    note: Callable[[Sums, int], None],
    weight: Callable[[int], float] = lambda _step: 1.0,
    size: tuple[int, int] | None = None,
    after_step: Callable[[], None] = lambda: None,
) -> tuple[Sums, EpochTiming]:
    """Train on each batch once.

    Args:
        batches: uint8 images (B, 3, H, W) and labels (B,), on the CPU.
        epoch: for the error.
        set_lr: called with the number of the batch (from 0) before each step.
        note: called now and then with the sums so far and the number of batches done.
        weight: factor of a batch's loss (by number, from 0), where other processes hold the rest of the batch.
        size: height and width that images are scaled to on the device; None: as they are.
        after_step: called after each step of the optimiser.

    Raises:
        DivergedError: naming epoch, batch and learning rate.
    """
    model.train()
    device = precision.device
    sums = Sums.zero(device)
    # number (from 1) of the first batch whose loss was not finite: kept on the device, asked for now and then
    first_bad = torch.zeros((), dtype=torch.int64, device=device)
    started = last_note = time.perf_counter()
    waiting = 0.0
    iterator = iter(batches)
    step = 0
    while True:
        asked = time.perf_counter()
        batch = next(iterator, None)
        waiting += time.perf_counter() - asked
        if batch is None:
            break
        images_bchw, labels_b = (t.to(device, non_blocking=True) for t in batch)
        if size is not None:
            images_bchw = resize_batch(images_bchw, size)
        set_lr(step)
        factor = weight(step)
        step += 1
        with precision.autocast():
            logits_bk = model(images_bchw)
        loss = training_loss(logits_bk, labels_b, label_smoothing)
        optimizer.zero_grad(set_to_none=True)
        scaler.scale(loss * factor if factor != 1 else loss).backward()  # type: ignore[no-untyped-call]
        scaler.step(optimizer)
        scaler.update()
        after_step()
        with torch.no_grad():
            plain = training_loss(logits_bk, labels_b, 0.0) if label_smoothing else loss
            sums.add(plain, logits_bk, labels_b)
            first_bad += (first_bad == 0) * ~torch.isfinite(loss) * step
        now = time.perf_counter()
        if now - last_note > SECONDS_BETWEEN_NOTES:
            last_note = now
            _check_finite(first_bad, epoch, optimizer)
            note(sums, step)
    _check_finite(first_bad, epoch, optimizer)
    return sums, EpochTiming(time.perf_counter() - started, waiting)


def _check_finite(first_bad: Tensor, epoch: int, optimizer: torch.optim.SGD) -> None:
    batch = int(first_bad)
    if batch:
        raise diverged(optimizer.param_groups[0]["lr"], epoch, batch)


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
) -> Sums:
    """Loss and accuracy without gradients, on images scaled to ``size``; the model's mode is restored."""
    was_training = model.training
    model.eval()
    sums = Sums.zero(precision.device)
    for batch in batches:
        images_bchw, labels_b = (t.to(precision.device, non_blocking=True) for t in batch)
        if size is not None:
            images_bchw = resize_batch(images_bchw, size)
        with precision.autocast():
            logits_bk = model(images_bchw)
        sums.add(training_loss(logits_bk, labels_b, 0.0), logits_bk, labels_b)
    model.train(was_training)
    return sums
