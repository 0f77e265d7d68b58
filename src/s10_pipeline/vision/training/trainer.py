"""Training from epoch to epoch, in one process or in each of several."""

import math
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, cast

import torch

from ..data.loader import Batch, TrainLoader, fit_batch, plain_batches, resolve_num_workers
from ..device import choose_precision, deterministic_algorithms, explain_out_of_memory
from ..network.classifier import Classifier
from ..progress import BarLike
from .checkpoint_writer import CheckpointWriter
from .checkpoints import CheckpointScope
from .data import TrainingData
from .ema import build_ema
from .epoch import diverged, measure, train_epoch
from .history import History
from .metric_sums import MetricSums
from .optimizer import build_optimizer
from .params import TrainParams
from .ranks import Ranks
from .resizing import size_in
from .schedule import SCHEDULES
from .setup import build_classifier
from .step import build_step, own_stream

# Images a batch of measuring; on a GPU as many as fit its memory comfortably, since small batches leave it idle.
EVAL_BATCH_SIZE, EVAL_BATCH_SIZE_CUDA = 500, 2048

# Validation or test images stay on a GPU where they take less of its free memory than this share.
MAX_SHARE_OF_MEMORY = 1 / 8


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
        self.data, self.params, self.device = data, params, device
        self.ranks = ranks = ranks or Ranks()
        self.precision = choose_precision(params.precision, device)
        self.model = ranks.sync_batchnorm(build_classifier(data.train_images, data.train_set, params).to(device))
        self.ema = build_ema(self.model, params.ema_decay)
        self.optimizer = build_optimizer(self.model, params, lr)
        self.scaler = self.precision.grad_scaler()
        network = ranks.wrap(self.model, device)
        self.step = build_step(network, self.optimizer, self.scaler, self.precision, params)
        self.num_workers = resolve_num_workers(params.num_workers, device, ranks.count)
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
        self.history = History(params)
        self.epochs_done = 0
        self._on_device: dict[str, list[Batch]] = {}

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

    def train(self, scope: CheckpointScope, bar: BarLike) -> None:
        """Train what is left of ``params.epochs``; the first rank saves a checkpoint after each.

        Raises:
            UserError: the loss diverged, memory or disk are full.
        """
        if last := scope.last():
            self.restore(*last)
        with ExitStack() as stack:
            stack.enter_context(torch.random.fork_rng([self.device] if self.device.type == "cuda" else []))
            stack.enter_context(deterministic_algorithms(self.params.deterministic))
            stack.enter_context(explain_out_of_memory(self.params.batch_size, self.device))
            stack.enter_context(own_stream(self.device))
            writer = stack.enter_context(CheckpointWriter(scope, self.device))
            # not advance: the bar of a training that was restarted has moved before
            bar.move_to(self.epochs_done * len(self.loader))
            batches = self.loader.epoch(self.epochs_done + 1)
            while self.epochs_done < self.params.epochs:
                batches = self._train_one_epoch(batches, bar)
                if self.ranks.first:
                    writer.save(self.epochs_done, self.state())

    def _train_one_epoch(self, batches: Iterator[Batch], bar: BarLike) -> Iterator[Batch]:
        """Train, measure and log an epoch; return the batches of the next, which workers begin to prepare meanwhile."""
        epoch, started = self.epochs_done + 1, time.perf_counter()
        # Dropout draws from the global generator: seeding it here makes an epoch a function of (seed, epoch)
        torch.manual_seed((self.ranks.rank << 52) + (self.params.seed << 20) + epoch)
        size = size_in(epoch, self.data.train_images.image_size, self.params)
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
            batch_weight=self.loader.weight,
            size=size,
            after_step=self._update_ema,
            on_progress=on_progress,
        )
        following = self.loader.epoch(epoch + 1) if epoch < self.params.epochs else iter(())
        bar.advance(len(self.loader) - batches_before)
        self.ranks.broadcast_buffers(self._measured)
        train, val, test = self.ranks.all_reduce(sums), self._measure("val", size), self._measure("test", size)
        if not math.isfinite(val.mean_loss()):
            # the epoch's last step did it: nothing of this epoch may be kept
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

    def _measure(self, name: str, size: tuple[int, int]) -> MetricSums:
        batches = self._on_device.get(name) or self._eval_batches(name)
        return self.ranks.all_reduce(measure(self._measured, batches, self.precision, size))

    def _eval_batches(self, name: str) -> Iterator[Batch] | list[Batch]:
        images = self.data.test_images if name == "test" else self.data.train_images
        subset = self.data.test_set if name == "test" else self.data.val_set
        mine = subset.indices[self.ranks.rank :: self.ranks.count]
        on_cuda = self.device.type == "cuda"
        batch_size = fit_batch(EVAL_BATCH_SIZE_CUDA if on_cuda else EVAL_BATCH_SIZE, images.image_size)
        batches = plain_batches(images.images_nhwc, images.labels, mine, batch_size)
        if not on_cuda:
            return batches
        num_bytes = len(mine) * images.images_nhwc[0].nbytes
        if num_bytes > MAX_SHARE_OF_MEMORY * torch.cuda.mem_get_info(self.device)[0]:
            return batches
        self._on_device[name] = [(i.to(self.device), labels.to(self.device)) for i, labels in batches]
        return self._on_device[name]
