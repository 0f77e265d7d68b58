"""Run a whole training: resume from a checkpoint if there is one, train, and return model and history."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from ...identity.differences import Parts
from ..data.loader import EpochBatches
from ..device import choose_device, choose_precision
from ..errors import UserError, one_line
from ..network.classifier import Classifier
from ..progress import Show, progress_bar
from .checkpoint_writer import checkpoint_writer
from .checkpoints import CheckpointStore, OnEpoch, RunCheckpoints
from .checks import check_batch_size, check_device
from .data import TrainingData
from .ema import trained_weights
from .history import HISTORY_COLUMNS, TIMING_COLUMNS
from .margins import margin_table
from .model import build_classifier
from .params import TrainParams
from .ranks import ALONE, Ranks
from .run_key import PRETRAINED, describe_run, explain_fresh_start, key_of, rate_to_go_on_with
from .trainer import Trainer

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingResult:
    """A trained model (on the CPU, in evaluation mode), with the history and timing of its training.

    Attributes:
        history: one row per epoch, :data:`.history.HISTORY_COLUMNS`; losses are means per image, accuracies fractions;
            ``lr`` is the rate of the epoch's last step, ``lr_after`` the rate after the schedule judged the epoch.
        timing: one row per epoch, :data:`.history.TIMING_COLUMNS`.
        margins: one row per image (:func:`.margins.margin_table`).
        lr: learning rate after warm-up; a resumed training may keep another one than it was given.
        run_key: name of the folder of checkpoints.
        weights_sha256: digest of the file of pretrained weights; None without one.
    """

    model: Classifier
    history: pd.DataFrame
    timing: pd.DataFrame
    margins: pd.DataFrame
    lr: float
    run_key: str
    weights_sha256: str | None
    device: torch.device
    precision: str


@dataclass(frozen=True)
class Job:
    """Input of a training: data, learning rate, parameters, device, and the checkpoints to resume from.

    Attributes:
        lr: learning rate after warm-up.
        device: where to train; of several processes on CUDA, each uses its own GPU.
    """

    data: TrainingData
    lr: float
    params: TrainParams
    device: torch.device
    checkpoints: RunCheckpoints


# Type of functions that run the training of a :class:`Job`. They save a checkpoint after each epoch, and then call the
# last argument with the epoch's figures.
RunTraining = Callable[[Job, Show, OnEpoch], None]


def train_here(job: Job, show: Show, on_epoch: OnEpoch, ranks: Ranks = ALONE) -> None:
    """Train in this process; if it is one of several, ``ranks`` communicates with the others."""
    trainer = Trainer(job.data, job.lr, job.params, job.device, ranks)
    if last := job.checkpoints.last():
        _restore(trainer, *last, job.checkpoints.folder)
    with checkpoint_writer(job.checkpoints, job.device) as save:

        def save_and_report(epoch: int, state: dict[str, Any]) -> None:
            save(epoch, state)
            on_epoch({**state["history"][-1], **state["timing"][-1]})

        trainer.train(save_and_report, show)


def _restore(trainer: Trainer, epoch: int, state: dict[str, Any], folder: Path) -> None:
    """Restore the state after ``epoch`` from a checkpoint.

    Raises:
        UserError: the checkpoint does not hold a state of this training.
    """
    try:
        trainer.restore(epoch, state)
        columns = [tuple(row) for row in (*state["history"], *state["timing"])]
        momenta = [(w, m) for w, s in trainer.optimizer.state.items() if (m := s.get("momentum_buffer")) is not None]
        fits = columns == [HISTORY_COLUMNS] * epoch + [TIMING_COLUMNS] * epoch
        pairs = [*momenta, *((sums, state["margins"][name]) for name, sums in trainer.margins.items())]
        if not fits or any(expected.shape != found.shape for expected, found in pairs):
            raise ValueError("history, momentum or margins of another shape")
    except Exception as error:  # any type of error, because a checkpoint file may hold anything
        what = f"not the state of this training ({type(error).__name__}: {one_line(error)[:200]})"
        remedy = "remove its file to resume from the checkpoint before it, or to start from scratch"
        raise UserError(f"checkpoint of epoch {epoch} in {folder}: {what}; {remedy}") from error


def train_classifier(
    data: TrainingData, lr: float, params: TrainParams, store: CheckpointStore, run: RunTraining = train_here
) -> TrainingResult:
    """Train a ResNet by SGD with momentum under the schedule that ``params`` names.

    An unfinished training with the same run key resumes after its last complete epoch. The result is bit-identical to
    an uninterrupted training if kind of CPU and number of threads are the same, on CUDA only with
    ``params.deterministic``. If ``params.lr`` is null, an unfinished training that differs only slightly, in the rate
    that the range test found, is resumed too, with its own rate (:func:`.run_key.rate_to_go_on_with`).

    Args:
        lr: learning rate after warm-up, given by the user or found by the range test.
        run: runs the training, in this process or in several (:func:`s10_pipeline.vision.distributed.choose_run`).

    Raises:
        UserError: batch size, device or precision cannot be used; the loss diverged; memory or disk is full; training
            processes died too often.
    """
    check_batch_size(data.train_set, params)
    device = choose_device(params.device)
    check_device(params, device)
    rate, depends, run_key = _find(data, lr, params, store)
    if params.pretrained.path:
        log.info("starting from pretrained weights %s; images are normalised for these weights", params.pretrained.path)
    if rate != lr:
        log.info(
            "resuming the interrupted training at its learning rate %.4g; the range test now finds %.4g (to train from "
            "scratch at that rate, give train.lr=%.4g)", rate, lr, lr,
        )  # fmt: skip
    with store.open(run_key, params.keep_checkpoints) as checkpoints:
        _begin(checkpoints, store, params, depends)
        num_ranks = params.distributed.num_ranks
        batches = EpochBatches(data.train_set.indices, params.batch_size, params.seed, num_ranks=num_ranks)
        total = params.epochs * len(batches)
        with progress_bar("", total, "batches") as bar:
            run(Job(data, rate, params, device, checkpoints), bar.show, store.on_epoch)
        last = checkpoints.last()
    assert last and last[0] == params.epochs, "the last epoch was saved"
    state = last[1]
    model = build_classifier(data.train_images, data.train_set, params)
    model.load_state_dict(trained_weights(state))
    history, timing = pd.DataFrame(state["history"]), pd.DataFrame(state["timing"])
    precision = choose_precision(params.precision, device).name
    margins = margin_table(state["margins"], params.epochs, data)
    weights_sha256 = depends["inputs"].get(PRETRAINED)
    return TrainingResult(model.eval(), history, timing, margins, rate, run_key, weights_sha256, device, precision)


def epochs_left(data: TrainingData, lr: float, params: TrainParams, store: CheckpointStore) -> range:
    """Return the numbers (from 1) of the epochs that :func:`train_classifier` would train now, after any checkpoint."""
    *_, run_key = _find(data, lr, params, store)
    return range(RunCheckpoints(store.root / run_key).epochs_to_keep(params.epochs) + 1, params.epochs + 1)


def _find(data: TrainingData, lr: float, params: TrainParams, store: CheckpointStore) -> tuple[float, Parts, str]:
    """Return the learning rate of a training, all that its result depends on, and the name of its checkpoint folder."""
    precision = choose_precision(params.precision, choose_device(params.device)).name
    depends = describe_run(data, lr, params, precision)
    if params.lr is None and (other := rate_to_go_on_with(store, depends, params.epochs)) is not None:
        lr, depends = other, describe_run(data, other, params, precision)
    return lr, depends, store.key_for(key_of(depends), params.epochs)


def _begin(checkpoints: RunCheckpoints, store: CheckpointStore, params: TrainParams, depends: Parts) -> None:
    """Log the epoch that training starts with; if its model is already stored, delete its checkpoints first."""
    if checkpoints.finished_epochs() == params.epochs:
        checkpoints.clear()
    if last := checkpoints.last():
        log.info("resuming after epoch %d of %d, from %s", last[0], params.epochs, checkpoints.folder)
    elif reason := explain_fresh_start(checkpoints, store, depends):
        log.info("training from scratch (epoch 1): %s", reason)
    checkpoints.describe(depends, lr_found=params.lr is None)
