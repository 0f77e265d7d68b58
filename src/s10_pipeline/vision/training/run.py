"""Training from epoch to epoch, in one process or in each of several."""

import math
import time
from contextlib import ExitStack
from typing import Any, cast

import torch

from ..data.loader import TrainLoader, fit_batch, plain_batches, resolve_num_workers
from ..device import choose_precision, deterministic_algorithms, explain_out_of_memory
from ..network.classifier import Classifier
from ..progress import BarLike
from .average import average_of
from .checkpoints import CheckpointScope
from .data import TrainingData
from .epoch import Sums, diverged, measure, train_epoch
from .history import History
from .params import TrainParams
from .ranks import Ranks
from .resizing import size_in
from .schedule import Schedule
from .setup import build_classifier, build_optimizer

EVAL_BATCH_SIZE = 500


class TrainingRun:
    """Everything that changes from epoch to epoch.

    Args:
        device: where this process computes.
        ranks: this process among those of the training.
    """

    def __init__(
        self, data: TrainingData, lr: float, params: TrainParams, device: torch.device, ranks: Ranks | None = None
    ) -> None:
        self.data, self.params, self.device = data, params, device
        self.ranks = ranks = ranks or Ranks()
        self.precision = choose_precision(params.precision, device)
        self.model = ranks.share_norms(build_classifier(data.train_images, data.train_set, params).to(device))
        self.average = average_of(self.model, params.ema_decay)
        self.optimizer = build_optimizer(self.model, params, lr)
        self.scaler = self.precision.grad_scaler()
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
        self.schedule = Schedule(self.optimizer, lr, params, len(self.loader))
        self.history = History(params)
        self.epochs_done = 0

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds."""
        return {
            "model": self.model.state_dict(),
            "average": self.average.state_dict() if self.average else None,
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "schedule": self.schedule.state_dict(),
            "history": self.history.rows,
            "timing": self.history.timing,
        }

    def restore(self, epochs_done: int, state: dict[str, Any]) -> None:
        """Go on after an epoch, from what :meth:`state` gave then."""
        self.epochs_done = epochs_done
        for name in ("model", "optimizer", "scaler", "schedule"):
            getattr(self, name).load_state_dict(state[name])
        if self.average:
            self.average.load_state_dict(state["average"])
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
            network = self.ranks.wrap(self.model, self.device)
            if self.params.compile:
                network.compile()
            # not advance: the bar of a training that was restarted has moved before
            bar.move_to(self.epochs_done * len(self.loader))
            while self.epochs_done < self.params.epochs:
                self._train_one_epoch(network, bar)
                if self.ranks.first:
                    scope.save(self.epochs_done, self.state())

    def _train_one_epoch(self, network: torch.nn.Module, bar: BarLike) -> None:
        epoch, started = self.epochs_done + 1, time.perf_counter()
        # Dropout draws from the global generator: seeding it here makes an epoch a function of (seed, epoch)
        torch.manual_seed((self.ranks.rank << 52) + (self.params.seed << 20) + epoch)
        size = size_in(epoch, self.data.train_images.image_size, self.params)
        batches_before = 0

        def note(sums: Sums, done: int) -> None:
            nonlocal batches_before
            speed = sums.count * self.ranks.count / (time.perf_counter() - started)
            bar.describe(f"epoch {epoch}/{self.params.epochs}")
            figures = f"loss {sums.mean_loss():.3f}  acc {sums.accuracy():.3f}  lr {self.schedule.lr:.2g}"
            bar.note(f"{figures}  {speed:.0f} images/s")
            bar.advance(done - batches_before)
            batches_before = done

        sums, timing = train_epoch(
            network,
            self.loader.epoch(epoch),
            self.optimizer,
            self.scaler,
            self.precision,
            label_smoothing=self.params.label_smoothing,
            epoch=epoch,
            set_lr=lambda step: self.schedule.before_step(epoch, step),
            weight=self.loader.weight,
            size=size,
            after_step=self._follow,
            note=note,
        )
        bar.advance(len(self.loader) - batches_before)
        self.ranks.share_buffers(self._measured)
        train, val, test = self.ranks.add_up(sums), self._measure("val", size), self._measure("test", size)
        if not math.isfinite(val.mean_loss()):
            # the epoch's last step did it: nothing of this epoch may be kept
            raise diverged(self.schedule.lr, epoch, len(self.loader))
        lr = self.schedule.lr
        drop = self.schedule.after_epoch(epoch, val.mean_loss())
        self.history.add(lr, train, val, test, drop, timing, self.num_workers)
        self.epochs_done = epoch

    def _follow(self) -> None:
        if self.average:
            self.average.update_parameters(self.model)

    @property
    def _measured(self) -> Classifier:
        return cast("Classifier", self.average.module) if self.average else self.model

    def _measure(self, name: str, size: tuple[int, int]) -> Sums:
        images = self.data.test_images if name == "test" else self.data.train_images
        subset = self.data.test_set if name == "test" else self.data.val_set
        mine = subset.indices[self.ranks.rank :: self.ranks.count]
        batches = plain_batches(images.images_nhwc, images.labels, mine, fit_batch(EVAL_BATCH_SIZE, images.image_size))
        return self.ranks.add_up(measure(self._measured, batches, self.precision, size))
