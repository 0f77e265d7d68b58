"""The whole of training: epochs under ReduceLROnPlateau, a checkpoint after each, a history of all."""

import logging
import math
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from torch.optim.lr_scheduler import ReduceLROnPlateau

from ..data.augmented import AugmentedSet
from ..data.image_set import ImageSet
from ..data.loader import TrainLoader, fit_batch, plain_batches, resolve_num_workers
from ..device import choose_device, choose_precision, deterministic_algorithms
from ..network.classifier import Classifier
from ..progress import Bar
from .checkpoints import CheckpointScope, CheckpointStore
from .epoch import EpochTiming, Sums, diverged, measure, train_epoch
from .params import TrainParams
from .scope import training_scope
from .setup import build_classifier, build_optimizer, check_batch_size

log = logging.getLogger(__name__)

EVAL_BATCH_SIZE = 500
HISTORY_COLUMNS = (
    "epoch", "lr", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "test_loss", "test_accuracy",
    "lr_dropped",
)  # fmt: skip
TIMING_COLUMNS = ("epoch", "epoch_seconds", "images_per_second", "data_wait_fraction")


@dataclass(frozen=True)
class TrainingData:
    """What training reads: training images in two parts, and test images, which decide nothing."""

    train_images: ImageSet
    test_images: ImageSet
    train_set: AugmentedSet
    val_set: AugmentedSet
    test_set: AugmentedSet


@dataclass(frozen=True)
class TrainingResult:
    """A trained model (on the CPU, in evaluation mode) and how it came about.

    Attributes:
        history: a row an epoch, :data:`HISTORY_COLUMNS`; losses are means per image, accuracies fractions;
            ``lr`` is the epoch's last, ``lr_dropped`` whether the plateau lowered it after the epoch.
        timing: a row an epoch, :data:`TIMING_COLUMNS`.
        scope: name of the checkpoints' scope.
    """

    model: Classifier
    history: pd.DataFrame
    timing: pd.DataFrame
    scope: str
    device: torch.device
    precision: str


def train_classifier(data: TrainingData, lr: float, params: TrainParams, store: CheckpointStore) -> TrainingResult:
    """Train a ResNet by SGD with momentum; ReduceLROnPlateau watches the validation loss.

    An unfinished training of the same scope goes on after its last whole epoch and ends bit-identical
    to one that was never interrupted (on one kind of CPU and number of threads).

    Args:
        lr: learning rate after warm-up.

    Raises:
        UserError: batch size, device or precision do not fit; the loss diverged; the disk is full.
    """
    check_batch_size(data.train_set, params)
    run = _Run(data, lr, params)
    scope_name = store.scope_for(training_scope(data, lr, params, run.precision.name), params.epochs)
    with store.open(scope_name, params.keep_checkpoints) as scope:
        run.restore(scope)
        devices = [run.device] if run.device.type == "cuda" else []
        with (
            torch.random.fork_rng(devices=devices),
            deterministic_algorithms(params.deterministic),
            Bar("", params.epochs * len(run.loader), "batches") as bar,
        ):
            bar.advance(run.epochs_done * len(run.loader))
            while run.epochs_done < params.epochs:
                run.train_one_epoch(bar)
                scope.save(run.epochs_done, run.state())
    history = pd.DataFrame(run.history, columns=list(HISTORY_COLUMNS))
    timing = pd.DataFrame(run.timing, columns=list(TIMING_COLUMNS))
    return TrainingResult(run.model.cpu().eval(), history, timing, scope_name, run.device, run.precision.name)


class _Run:
    """Everything that changes from epoch to epoch."""

    def __init__(self, data: TrainingData, lr: float, params: TrainParams) -> None:
        self.data, self.lr, self.params = data, lr, params
        self.device = choose_device(params.device)
        self.precision = choose_precision(params.precision, self.device)
        self.model = build_classifier(data.train_images, data.train_set, params).to(self.device)
        self.optimizer = build_optimizer(self.model, params, lr)
        self.scaler = self.precision.grad_scaler()
        plateau = params.plateau
        self.plateau = ReduceLROnPlateau(
            self.optimizer,
            factor=plateau.factor,
            patience=plateau.patience,
            threshold=plateau.threshold,
            cooldown=plateau.cooldown,
            min_lr=plateau.min_lr,
        )
        self.loader = TrainLoader(
            data.train_images,
            data.train_set,
            params.batch_size,
            params.seed,
            resolve_num_workers(params.num_workers, self.device),
            pin_memory=self.device.type == "cuda",
        )
        self.epochs_done = 0
        self.history: list[dict[str, Any]] = []
        self.timing: list[dict[str, Any]] = []

    def state(self) -> dict[str, Any]:
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "plateau": self.plateau.state_dict(),
            "history": self.history,
            "timing": self.timing,
        }

    def restore(self, scope: CheckpointScope) -> None:
        """Go on from the scope's last checkpoint, unless it is the end of a finished training of as many epochs."""
        if scope.finished_epochs() == self.params.epochs:
            scope.clear()
        last = scope.last()
        if last is None:
            return
        self.epochs_done, state = last
        for name in ("model", "optimizer", "scaler", "plateau"):
            getattr(self, name).load_state_dict(state[name])
        self.history, self.timing = state["history"], state["timing"]
        log.info("going on after epoch %d of %d, from %s", self.epochs_done, self.params.epochs, scope.folder)

    def train_one_epoch(self, bar: Bar) -> None:
        epoch = self.epochs_done + 1
        # Dropout draws from the global generator: seeding it here makes an epoch a function of (seed, epoch)
        torch.manual_seed((self.params.seed << 20) + epoch)
        batches_before = 0

        def note(sums: Sums, done: int) -> None:
            nonlocal batches_before
            bar.describe(f"epoch {epoch}/{self.params.epochs}")
            bar.note(f"loss {sums.mean_loss():.3f}  acc {sums.accuracy():.3f}  lr {self._lr():.2g}")
            bar.advance(done - batches_before)
            batches_before = done

        sums, timing = train_epoch(
            self.model,
            self.loader.epoch(epoch),
            self.optimizer,
            self.scaler,
            self.precision,
            label_smoothing=self.params.label_smoothing,
            epoch=epoch,
            set_lr=lambda step: self._warm_up(epoch, step),
            note=note,
        )
        bar.advance(len(self.loader) - batches_before)
        val, test = self._measure("val"), self._measure("test")
        if not math.isfinite(val.mean_loss()):
            # the epoch's last step did it: nothing of this epoch may be kept
            raise diverged(self._lr(), epoch, len(self.loader))
        lr = self._lr()
        if epoch > self.params.warmup_epochs:
            self.plateau.step(val.mean_loss())
        self._record(epoch, lr, sums, val, test, timing)
        self.epochs_done = epoch

    def _measure(self, name: str) -> Sums:
        images = self.data.test_images if name == "test" else self.data.train_images
        subset = self.data.test_set if name == "test" else self.data.val_set
        batches = plain_batches(
            images.images_nhwc, images.labels, subset.indices, fit_batch(EVAL_BATCH_SIZE, images.image_size)
        )
        return measure(self.model, batches, self.precision)

    def _lr(self) -> float:
        return float(self.optimizer.param_groups[0]["lr"])

    def _warm_up(self, epoch: int, step: int) -> None:
        """Linear growth to the full rate over ``warmup_epochs`` (Goyal et al. 2017, arXiv:1706.02677)."""
        total = self.params.warmup_epochs * len(self.loader)
        done = (epoch - 1) * len(self.loader) + step + 1
        if done <= total:
            for group in self.optimizer.param_groups:
                group["lr"] = self.lr * done / total

    def _record(self, epoch: int, lr: float, train: Sums, val: Sums, test: Sums, timing: EpochTiming) -> None:
        dropped = epoch > self.params.warmup_epochs and self._lr() < lr
        measured = [value for sums in (train, val, test) for value in (sums.mean_loss(), sums.accuracy())]
        row = dict(zip(HISTORY_COLUMNS, [epoch, lr, *measured, dropped], strict=True))
        self.history.append(row)
        images_per_second = train.count / timing.seconds
        waited = timing.waiting_seconds / timing.seconds
        self.timing.append(dict(zip(TIMING_COLUMNS, [epoch, timing.seconds, images_per_second, waited], strict=True)))
        log.info(
            "epoch %d/%d: loss train %.3f val %.3f test %.3f, accuracy train %.4f val %.4f test %.4f, "
            "lr %.2g, %.0f images/s, %.1f s",
            epoch, self.params.epochs, train.mean_loss(), val.mean_loss(), test.mean_loss(),
            train.accuracy(), val.accuracy(), test.accuracy(), lr, images_per_second, timing.seconds,
        )  # fmt: skip
        if dropped:
            log.info(
                "learning rate %.2g -> %.2g: no better validation loss than %.4f for more than %d epochs",
                lr, self._lr(), self.plateau.best, self.params.plateau.patience,
            )  # fmt: skip
