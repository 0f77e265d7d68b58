"""The training loop over epochs (:class:`Trainer`) and over the batches of an epoch (:func:`train_epoch`)."""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..data.loader import Batch, TrainLoader
from ..data.workers import resolve_num_workers
from ..device import choose_precision, deterministic_algorithms, explain_out_of_memory
from ..errors import UserError
from ..network.classifier import Classifier
from ..progress import Show
from .data import TrainingData
from .ema import build_ema
from .history import EpochTiming, History, short_count
from .measuring import MeasuredImages, measure
from .metric_sums import MetricSums
from .model import build_classifier
from .optimizer import build_optimizer, class_weights
from .params import TrainParams
from .ranks import ALONE, Ranks
from .resizing import resize_batch, size_in
from .schedule import SCHEDULES
from .step import TrainStep, build_step, own_stream

# Seconds between updates of the progress bar. Updates are rare, because reading loss and accuracy waits until the GPU
# has finished all its work.
SECONDS_BETWEEN_PROGRESS = 0.5


# Names of the attributes of :class:`Trainer` whose ``state_dict`` is part of each checkpoint.
STATEFUL = ("model", "optimizer", "scaler", "schedule")


class DivergedError(UserError):
    """The loss became NaN or infinite."""


class Trainer:
    """Trains a network; holds everything that a checkpoint stores, such as weights, optimiser, schedule and history.

    Args:
        lr: learning rate after warm-up.
        device: device of this process.
        ranks: this process's rank, and its communication with the other processes.
    """

    def __init__(
        self, data: TrainingData, lr: float, params: TrainParams, device: torch.device, ranks: Ranks = ALONE
    ) -> None:
        self.params, self.device, self.ranks = params, device, ranks
        self.precision = choose_precision(params.precision, device)
        self.model = ranks.sync_batchnorm(build_classifier(data.train_images, data.train_set, params).to(device))
        self.ema = build_ema(self.model, params.ema_decay)
        self.optimizer = build_optimizer(self.model, params, lr)
        self.step = build_step(ranks.wrap(self.model, device), self.optimizer, self.precision, params)
        self.step.weights_k = class_weights(data.train_images, data.train_set, params, device)
        num_workers = resolve_num_workers(params.num_workers, device, params.distributed.num_processes)
        self.image_size = data.train_images.image_size
        self.loader = TrainLoader(
            data.train_images,
            data.train_set,
            params.batch_size,
            params.seed,
            num_workers,
            pin_memory=device.type == "cuda",
            rank=ranks.rank,
            num_ranks=ranks.count,
            num_here=params.distributed.num_processes,
        )
        self.schedule = SCHEDULES[params.schedule](self.optimizer, lr, params, len(self.loader))
        mine = slice(ranks.rank, None, ranks.count)
        self.val_images = MeasuredImages(data.train_images, data.val_set.indices[mine], device)
        self.test_images = MeasuredImages(data.test_images, data.test_set.indices[mine], device)
        # Margin of each image (the label's logit minus the largest other logit), summed over all epochs so far.
        self.margins = {
            name: torch.zeros(len(images), device=device)
            for name, images in (("train", data.train_images), ("test", data.test_images))
        }
        self.history = History(params, num_workers)
        self.epochs_done = 0

    @property
    def scaler(self) -> torch.amp.GradScaler:
        return self.step.scaler

    def state(self) -> dict[str, Any]:
        """Return the training state that a checkpoint stores: weights, optimiser, schedule, margins and history."""
        return {
            **{name: getattr(self, name).state_dict() for name in STATEFUL},
            "average": self.ema.state_dict() if self.ema else None,
            "margins": dict(self.margins),
            "history": list(self.history.rows),
            "timing": list(self.history.timing),
        }

    def restore(self, epochs_done: int, state: dict[str, Any]) -> None:
        """Restore the training state after epoch ``epochs_done`` from ``state``, a checkpoint's content."""
        self.epochs_done = epochs_done
        for name in STATEFUL:
            getattr(self, name).load_state_dict(state[name])
        if self.ema:
            self.ema.load_state_dict(state["average"])
        self.margins = {name: sums.clone().copy_(state["margins"][name]) for name, sums in self.margins.items()}
        self.history.rows, self.history.timing = state["history"], state["timing"]

    def train(self, save: Callable[[int, dict[str, Any]], None], show: Show) -> None:
        """Train the remaining epochs, up to epoch ``params.epochs``.

        Args:
            save: called on rank 0 after each epoch, with the epoch and :meth:`state`.
            show: called about every half second with the number of batches done in all epochs, and two texts.

        Raises:
            UserError: the loss diverged, or memory or disk is full.
        """
        with (
            torch.random.fork_rng([self.device] if self.device.type == "cuda" else []),
            deterministic_algorithms(self.params.deterministic),
            explain_out_of_memory(self.params.batch_size, self.device),
            own_stream(self.device),
        ):
            batches = self._batches_of(self.epochs_done + 1)
            while self.epochs_done < self.params.epochs:
                batches = self._train_one_epoch(batches, show)
                if self.ranks.rank == 0:
                    save(self.epochs_done, self.state())

    def _batches_of(self, epoch: int) -> Iterator[Batch]:
        return self.loader.epoch(epoch) if epoch <= self.params.epochs else iter(())

    def _train_one_epoch(self, batches: Iterator[Batch], show: Show) -> Iterator[Batch]:
        """Train, evaluate and log one epoch; return the next epoch's batches, which workers already prepare."""
        epoch, started = self.epochs_done + 1, time.perf_counter()
        self.ranks.seed_dropout(self.params.seed, epoch)
        size = size_in(epoch, self.image_size, self.params)

        def train_batch(number: int, images_bchw: Tensor, labels_b: Tensor) -> None:
            self.schedule.before_step(epoch, number)
            if tuple(images_bchw.shape[2:]) != size:
                images_bchw = resize_batch(images_bchw.to(self.device, non_blocking=True), size)
            self.step(images_bchw, labels_b, self.loader.batch_weight(number))
            if self.ema:
                self.ema.update_parameters(self.model)

        def on_progress(sums: MetricSums, done: int) -> None:
            speed = int(sums.num_images) * self.ranks.count / (time.perf_counter() - started)
            figures = f"loss {sums.mean_loss():.3f}  {100 * sums.accuracy():.1f} %  lr {self.schedule.lr:.2g}"
            done += self.epochs_done * len(self.loader)
            show(done, f"epoch {epoch}/{self.params.epochs}", f"{figures}  {short_count(speed)} img/s")

        sums, timing = train_epoch(self.step, batches, epoch=epoch, train_batch=train_batch, on_progress=on_progress)
        # Ask for the next epoch's batches before evaluation, so that workers prepare them during it.
        following = self._batches_of(epoch + 1)
        on_progress(sums, len(self.loader))
        self.ranks.broadcast_buffers(self._measured)
        train = self.ranks.all_reduce(sums)
        self._add_margins("train", np.concatenate([*self.loader.batches.rows(epoch)]), torch.cat(self.step.margins))
        val, test = self._measure("train", self.val_images), self._measure("test", self.test_images)
        if not math.isfinite(val.mean_loss()):
            # The last update diverged, so stop. The training loss cannot show it, because a step's loss is computed
            # before the step's update.
            raise diverged(self.schedule.lr, epoch, len(self.loader))
        lr = self.schedule.lr
        judged = self.schedule.after_epoch(epoch, val.mean_loss())
        self.history.add(lr, train, val, test, judged, timing)
        self.epochs_done = epoch
        return following

    @property
    def _measured(self) -> Classifier:
        return cast("Classifier", self.ema.module) if self.ema else self.model

    def _measure(self, name: str, images: MeasuredImages) -> MetricSums:
        sums, margins = measure(self._measured, images, self.precision)
        self._add_margins(name, images.indices, margins)
        return self.ranks.all_reduce(sums)

    def _add_margins(self, name: str, rows: NDArray[np.int64], margins: Tensor) -> None:
        of_epoch = torch.zeros_like(self.margins[name])
        of_epoch[torch.from_numpy(rows).to(self.device)] = margins
        self.margins[name] = self.margins[name] + self.ranks.add_up(of_epoch)


def train_epoch(
    step: TrainStep,
    batches: Iterable[Batch],
    *,
    epoch: int,
    train_batch: Callable[[int, Tensor, Tensor], object] | None = None,
    on_progress: Callable[[MetricSums, int], None] = lambda _sums, _number: None,
) -> tuple[MetricSums, EpochTiming]:
    """Train on each batch once; return the sums of loss and accuracy, and the times.

    Args:
        step: trains on one batch, and sums loss and accuracy.
        batches: uint8 images (B, 3, H, W) and labels (B,), on the CPU.
        epoch: named in the error.
        train_batch: called with batch number (from 0), images and labels, instead of ``step(images, labels)``.
        on_progress: called every half second with the sums so far and the number of batches done.

    Raises:
        DivergedError: the loss is NaN or infinite.
    """
    step.reset()
    started = last_progress = asked = time.perf_counter()
    waiting = 0.0
    lrs: list[float] = []
    for number, (images_bchw, labels_b) in enumerate(batches):
        waiting += time.perf_counter() - asked
        if train_batch:
            train_batch(number, images_bchw, labels_b)
        else:
            step(images_bchw, labels_b)
        lrs.append(step.lr)
        if time.perf_counter() - last_progress > SECONDS_BETWEEN_PROGRESS:
            last_progress = time.perf_counter()
            _check_finite(step.first_bad, epoch, lrs)
            on_progress(step.metrics, number + 1)
        asked = time.perf_counter()
    _check_finite(step.first_bad, epoch, lrs)
    return step.metrics.copy(), EpochTiming(time.perf_counter() - started, waiting)


def _check_finite(first_bad: Tensor, epoch: int, lrs: list[float]) -> None:
    if batch := int(first_bad):
        raise diverged(lrs[batch - 1], epoch, batch)


def diverged(lr: float, epoch: int, batch: int) -> DivergedError:
    """Return the error for a loss that is NaN or infinite, with epoch, batch (from 1) and learning rate.

    Args:
        lr: rate of that step by the schedule, which may differ from ``train.lr``.
    """
    return DivergedError(
        f"train: the loss was not finite at learning rate {lr:g}, in epoch {epoch}, batch {batch}; give a lower "
        "train.lr, or null instead of a given rate (earlier epochs and artifacts are kept)"
    )
