"""The loop of training: epochs (:class:`Trainer`) and, in each, batches (:func:`train_epoch`)."""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from typing import Any, cast

import torch
from torch import Tensor

from ..data.loader import Batch, TrainLoader, resolve_num_workers
from ..device import choose_precision, deterministic_algorithms, explain_out_of_memory
from ..errors import UserError
from ..network.classifier import Classifier
from ..progress import BarLike
from .checkpoints import Checkpoints
from .data import TrainingData
from .ema import build_ema
from .history import EpochTiming, History
from .measuring import MeasuredImages, measure
from .metric_sums import MetricSums
from .model import build_classifier
from .optimizer import build_optimizer
from .params import TrainParams
from .ranks import OneProcess, Ranks
from .resizing import resize_batch, size_in
from .schedule import SCHEDULES
from .step import Step, build_step, own_stream

# The bar's figures come from the device, and asking for them waits until it is done: so only now and then.
SECONDS_BETWEEN_PROGRESS = 0.5


class DivergedError(UserError):
    """The loss became NaN or infinite."""


class Trainer:
    """Everything that changes from epoch to epoch.

    Args:
        lr: learning rate after warm-up.
        device: where this process computes.
        ranks: this process among those of the training.
    """

    def __init__(
        self, data: TrainingData, lr: float, params: TrainParams, device: torch.device, ranks: Ranks | None = None
    ) -> None:
        self.params, self.device = params, device
        self.ranks = ranks = ranks or OneProcess()
        self.precision = choose_precision(params.precision, device)
        self.model = ranks.sync_batchnorm(build_classifier(data.train_images, data.train_set, params).to(device))
        self.ema = build_ema(self.model, params.ema_decay)
        self.optimizer = build_optimizer(self.model, params, lr)
        self.scaler = self.precision.grad_scaler()
        network = ranks.wrap(self.model, device)
        self.step = build_step(network, self.optimizer, self.scaler, self.precision, params)
        self.num_workers = resolve_num_workers(params.num_workers, device, ranks.count)
        self.image_size = data.train_images.image_size
        self.loader = TrainLoader(
            data.train_images,
            data.train_set,
            params.batch_size,
            params.seed,
            self.num_workers,
            pin_memory=device.type == "cuda",
            rank=ranks.rank,
            num_ranks=ranks.count,
        )
        self.schedule = SCHEDULES[params.schedule](self.optimizer, lr, params, len(self.loader))
        mine = slice(ranks.rank, None, ranks.count)
        self.val_images = MeasuredImages(data.train_images, data.val_set.indices[mine], device)
        self.test_images = MeasuredImages(data.test_images, data.test_set.indices[mine], device)
        self.history = History(params)
        self.epochs_done = 0

    def state(self) -> dict[str, Any]:
        """Return the content of a checkpoint."""
        return {
            "model": self.model.state_dict(),
            "average": self.ema.state_dict() if self.ema else None,
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "schedule": self.schedule.state_dict(),
            "history": list(self.history.rows),
            "timing": list(self.history.timing),
        }

    def restore(self, epochs_done: int, state: dict[str, Any]) -> None:
        """Go on after an epoch, from what :meth:`state` returned then."""
        self.epochs_done = epochs_done
        for name in ("model", "optimizer", "scaler", "schedule"):
            getattr(self, name).load_state_dict(state[name])
        if self.ema:
            self.ema.load_state_dict(state["average"])
        self.history.rows, self.history.timing = state["history"], state["timing"]

    def train(self, checkpoints: Checkpoints, bar: BarLike) -> None:
        """Train what is left of ``params.epochs``; the first rank saves a checkpoint after each.

        Raises:
            UserError: the loss diverged, memory or disk are full.
        """
        if last := checkpoints.last():
            self.restore(*last)
        with ExitStack() as stack:
            stack.enter_context(torch.random.fork_rng([self.device] if self.device.type == "cuda" else []))
            stack.enter_context(deterministic_algorithms(self.params.deterministic))
            stack.enter_context(explain_out_of_memory(self.params.batch_size, self.device))
            stack.enter_context(own_stream(self.device))
            # not advance: the bar of a training that was restarted has moved before
            bar.move_to(self.epochs_done * len(self.loader))
            batches = self.loader.epoch(self.epochs_done + 1)
            while self.epochs_done < self.params.epochs:
                batches = self._train_one_epoch(batches, bar)
                if self.ranks.rank == 0:
                    checkpoints.save(self.epochs_done, self.state())

    def _train_one_epoch(self, batches: Iterator[Batch], bar: BarLike) -> Iterator[Batch]:
        """Train, measure and log an epoch; return the batches of the next, which workers begin to prepare meanwhile."""
        epoch, started = self.epochs_done + 1, time.perf_counter()
        # Dropout draws from the global generator: seeded so, an epoch is a function of rank, seed (below 2**32) and
        # epoch (below 2**20) alone
        torch.manual_seed((self.ranks.rank << 52) + (self.params.seed << 20) + epoch)
        size = size_in(epoch, self.image_size, self.params)
        batches_before = 0

        def on_progress(sums: MetricSums, done: int) -> None:
            nonlocal batches_before
            speed = int(sums.num_images) * self.ranks.count / (time.perf_counter() - started)
            bar.describe(f"epoch {epoch}/{self.params.epochs}")
            figures = f"loss {sums.mean_loss():.3f}  acc {sums.accuracy():.3f}  lr {self.schedule.lr:.2g}"
            bar.note(f"{figures}  {speed:.0f} images/s")
            bar.advance(done - batches_before)
            batches_before = done

        sums, timing = train_epoch(
            self.step,
            batches,
            epoch=epoch,
            set_lr=lambda number: self.schedule.before_step(epoch, number),
            batch_weight=self.loader.batch_weight,
            size=size,
            after_step=self._update_ema,
            on_progress=on_progress,
        )
        following = self.loader.epoch(epoch + 1) if epoch < self.params.epochs else iter(())
        bar.advance(len(self.loader) - batches_before)
        self.ranks.broadcast_buffers(self._measured)
        train = self.ranks.all_reduce(sums)
        val, test = (self._measure(images, size) for images in (self.val_images, self.test_images))
        if not math.isfinite(val.mean_loss()):
            # a step's loss is taken before its update, so the epoch's last update shows here first
            raise diverged(self.schedule.lr, epoch, len(self.loader))
        lr = self.schedule.lr
        judged = self.schedule.after_epoch(epoch, val.mean_loss())
        self.history.add(lr, train, val, test, judged, timing, self.num_workers)
        self.epochs_done = epoch
        return following

    def _update_ema(self) -> None:
        if self.ema:
            self.ema.update_parameters(self.model)

    @property
    def _measured(self) -> Classifier:
        return cast("Classifier", self.ema.module) if self.ema else self.model

    def _measure(self, images: MeasuredImages, size: tuple[int, int]) -> MetricSums:
        return self.ranks.all_reduce(measure(self._measured, images, self.precision, size))


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
    waiting = 0.0
    lrs: list[float] = []
    for number, (batch, seconds) in enumerate(_timed(batches)):
        waiting += seconds
        images_bchw, labels_b = batch
        if size is not None and tuple(images_bchw.shape[2:]) != size:
            images_bchw = resize_batch(images_bchw.to(step.device, non_blocking=True), size)
        lrs.append(set_lr(number))
        step(images_bchw, labels_b, batch_weight(number))
        after_step()
        now = time.perf_counter()
        if now - last_progress > SECONDS_BETWEEN_PROGRESS:
            last_progress = now
            _check_finite(step.first_bad, epoch, lrs)
            on_progress(step.metrics, number + 1)
    _check_finite(step.first_bad, epoch, lrs)
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


def _check_finite(first_bad: Tensor, epoch: int, lrs: list[float]) -> None:
    batch = int(first_bad)
    if batch:
        raise diverged(lrs[batch - 1], epoch, batch)


def diverged(lr: float, epoch: int, batch: int) -> DivergedError:
    """The error that names where the loss was lost.

    Args:
        lr: of the schedule then: no value of ``train.lr``, which may be null.
    """
    return DivergedError(
        f"train: the loss was not finite at learning rate {lr:g}, in epoch {epoch}, batch {batch}; give a lower "
        "train.lr, or null, which takes the range test's (earlier epochs and artifacts are kept)"
    )
