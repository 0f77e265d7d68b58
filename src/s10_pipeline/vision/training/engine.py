"""The whole of training: what it may go on from, where it runs, what comes out."""

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
    """A trained model (on the CPU, in evaluation mode) and how it came about.

    Attributes:
        history: one row per epoch, :data:`.history.HISTORY_COLUMNS`; losses are means per image, accuracies fractions;
            ``lr`` is the epoch's last, ``lr_after`` what the epoch left behind.
        timing: one row per epoch, :data:`.history.TIMING_COLUMNS`.
        margins: one row per image (:func:`.margins.margin_table`).
        lr: learning rate after warm-up; not the one that was asked for where an interrupted training went on.
        run_key: names the checkpoints.
        weights_sha256: of the file of pretrained weights; None without one.
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
    """A training that is to be done, or what is left of it since its last checkpoint.

    Attributes:
        lr: learning rate after warm-up.
        device: where to train; several processes on CUDA take a GPU each.
    """

    data: TrainingData
    lr: float
    params: TrainParams
    device: torch.device
    checkpoints: RunCheckpoints


# Does a job, leaves its checkpoints, and reports each.
RunTraining = Callable[[Job, Show, OnEpoch], None]


def train_here(job: Job, show: Show, on_epoch: OnEpoch, ranks: Ranks = ALONE) -> None:
    """Train in this process, alone or as one of several."""
    trainer = Trainer(job.data, job.lr, job.params, job.device, ranks)
    if last := job.checkpoints.last():
        _restore(trainer, *last, job.checkpoints.folder)
    with checkpoint_writer(job.checkpoints, job.device) as save:

        def save_and_report(epoch: int, state: dict[str, Any]) -> None:
            save(epoch, state)
            on_epoch({**state["history"][-1], **state["timing"][-1]})

        trainer.train(save_and_report, show)


def _restore(trainer: Trainer, epoch: int, state: dict[str, Any], folder: Path) -> None:
    """Go on after ``epoch``.

    Raises:
        UserError: the checkpoint holds something else than this training's state.
    """
    try:
        trainer.restore(epoch, state)
        columns = [tuple(row) for row in (*state["history"], *state["timing"])]
        momenta = [(w, m) for w, s in trainer.optimizer.state.items() if (m := s.get("momentum_buffer")) is not None]
        fits = columns == [HISTORY_COLUMNS] * epoch + [TIMING_COLUMNS] * epoch
        if not fits or any(weight.shape != momentum.shape for weight, momentum in momenta):
            raise ValueError("history or momentum of another shape")
    except Exception as error:  # anything may be in a file, and torch raises errors of any type
        what = f"not the state of this training ({type(error).__name__}: {one_line(error)[:200]})"
        remedy = "remove its file, to go on after the one before it or afresh"
        raise UserError(f"checkpoint of epoch {epoch} in {folder}: {what}; {remedy}") from error


def train_classifier(
    data: TrainingData, lr: float, params: TrainParams, store: CheckpointStore, run: RunTraining = train_here
) -> TrainingResult:
    """Train a ResNet by SGD with momentum under the schedule that ``params`` names.

    An unfinished training of the same run key goes on after its last whole epoch and ends bit-identical
    to one that was never interrupted (on one kind of CPU and number of threads). Where ``params.lr`` is null, an
    unfinished training that differs in the found rate alone goes on too, with its own rate.

    Args:
        lr: learning rate after warm-up, as it was given or found by the range test.
        run: trains, in this process or in several (:func:`s10_pipeline.vision.distributed.choose_run`).

    Raises:
        UserError: batch size, device or precision do not fit; the loss diverged; memory or disk are full;
            a process of several died too often.
    """
    check_batch_size(data.train_set, params)
    device = choose_device(params.device)
    check_device(params, device)
    rate, depends, run_key = _find(data, lr, params, store)
    if params.pretrained.path:
        log.info("training starts from the weights in %s, and normalises images as for them", params.pretrained.path)
    if rate != lr:
        log.info(
            "taking up the interrupted training at learning rate %.4g; the range test now finds %.4g (train.lr=%.4g "
            "starts afresh at it)", rate, lr, lr,
        )  # fmt: skip
    with store.open(run_key, params.keep_checkpoints) as checkpoints:
        _begin(checkpoints, store, params, depends)
        total = params.epochs * len(EpochBatches(data.train_set.indices, params.batch_size, params.seed))
        with progress_bar("", total, "batches") as bar:
            run(Job(data, rate, params, device, checkpoints), bar.show, store.on_epoch)
        last = checkpoints.last()
    assert last is not None, "the last epoch was saved"
    state = last[1]
    model = build_classifier(data.train_images, data.train_set, params)
    model.load_state_dict(trained_weights(state))
    history, timing = pd.DataFrame(state["history"]), pd.DataFrame(state["timing"])
    precision = choose_precision(params.precision, device).name
    margins = margin_table(state["margins"], params.epochs, data)
    weights_sha256 = depends["inputs"].get(PRETRAINED)
    return TrainingResult(model.eval(), history, timing, margins, rate, run_key, weights_sha256, device, precision)


def epochs_left(data: TrainingData, lr: float, params: TrainParams, store: CheckpointStore) -> range:
    """Epochs, from 1, that :func:`train_classifier` would train now: those after its last checkpoint."""
    *_, run_key = _find(data, lr, params, store)
    return range(RunCheckpoints(store.root / run_key).epochs_to_keep(params.epochs) + 1, params.epochs + 1)


def _find(data: TrainingData, lr: float, params: TrainParams, store: CheckpointStore) -> tuple[float, Parts, str]:
    """Return the rate to train at, what the training depends on, and the name of the folder of its checkpoints."""
    precision = choose_precision(params.precision, choose_device(params.device)).name
    depends = describe_run(data, lr, params, precision)
    if params.lr is None and (other := rate_to_go_on_with(store, depends, params.epochs)) is not None:
        lr, depends = other, describe_run(data, other, params, precision)
    return lr, depends, store.key_for(key_of(depends), params.epochs)


def _begin(checkpoints: RunCheckpoints, store: CheckpointStore, params: TrainParams, depends: Parts) -> None:
    """Say where training starts: afresh, or after the last whole epoch of one that was not finished."""
    if checkpoints.finished_epochs() == params.epochs:
        checkpoints.clear()
    if last := checkpoints.last():
        log.info("going on after epoch %d of %d, from %s", last[0], params.epochs, checkpoints.folder)
    elif reason := explain_fresh_start(checkpoints, store, depends):
        log.info("training afresh: %s", reason)
    checkpoints.describe(depends, lr_found=params.lr is None)
