"""The whole of training: what it may go on from, where it runs, what comes out."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd
import torch

from ...identity.differences import Parts
from ..data.loader import EpochBatches
from ..device import choose_device, choose_precision
from ..network.classifier import Classifier
from ..progress import Bar, BarLike
from .checkpoint_writer import CheckpointWriter
from .checkpoints import CheckpointStore, RunCheckpoints
from .checks import check_batch_size, check_cuda_graph, check_processes
from .data import TrainingData
from .ema import trained_weights
from .history import HISTORY_COLUMNS, TIMING_COLUMNS
from .model import build_classifier
from .params import TrainParams
from .run_key import describe_run, explain_fresh_start, key_of, rate_to_go_on_with
from .trainer import Trainer

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingResult:
    """A trained model (on the CPU, in evaluation mode) and how it came about.

    Attributes:
        history: one row per epoch, :data:`HISTORY_COLUMNS`; losses are means per image, accuracies fractions;
            ``lr`` is the epoch's last, ``lr_after`` what the epoch left behind.
        timing: one row per epoch, :data:`TIMING_COLUMNS`.
        lr: learning rate after warm-up; not the one that was asked for where an interrupted training went on.
        run_key: names the checkpoints.
    """

    model: Classifier
    history: pd.DataFrame
    timing: pd.DataFrame
    lr: float
    run_key: str
    device: torch.device
    precision: str


# Trains what is left of a training and leaves its checkpoints there.
RunTraining = Callable[[TrainingData, float, TrainParams, torch.device, RunCheckpoints, BarLike], None]


def train_here(
    data: TrainingData, lr: float, params: TrainParams, device: torch.device, checkpoints: RunCheckpoints, bar: BarLike
) -> None:
    """Train in this process."""
    assert params.distributed.num_processes == 1
    with CheckpointWriter(checkpoints, device) as writer:
        Trainer(data, lr, params, device).train(writer, bar)


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
    check_processes(params, device)
    check_cuda_graph(params, device)
    rate, depends = _choose_rate(data, lr, params, store)
    if rate != lr:
        log.info(
            "taking up the interrupted training at learning rate %.4g; the range test now finds %.4g (train.lr=%.4g "
            "starts afresh at it)", rate, lr, lr,
        )  # fmt: skip
    run_key = store.key_for(key_of(depends), params.epochs)
    with store.open(run_key, params.keep_checkpoints) as checkpoints:
        _begin(checkpoints, store, params, depends)
        total = params.epochs * len(EpochBatches(data.train_set.indices, params.batch_size, params.seed))
        with Bar("", total, "batches") as bar:
            run(data, rate, params, device, checkpoints, bar)
        last = checkpoints.last()
    assert last is not None, "the last epoch was saved"
    state = last[1]
    model = build_classifier(data.train_images, data.train_set, params)
    model.load_state_dict(trained_weights(state))
    history = pd.DataFrame(state["history"], columns=list(HISTORY_COLUMNS))
    timing = pd.DataFrame(state["timing"], columns=list(TIMING_COLUMNS))
    precision = choose_precision(params.precision, device).name
    return TrainingResult(model.eval(), history, timing, rate, run_key, device, precision)


def epochs_left(data: TrainingData, lr: float, params: TrainParams, store: CheckpointStore) -> range:
    """Epochs, from 1, that :func:`train_classifier` would train now: those after its last checkpoint."""
    _, depends = _choose_rate(data, lr, params, store)
    folder = store.root / store.key_for(key_of(depends), params.epochs)
    checkpoints = RunCheckpoints(folder, params.keep_checkpoints)
    saved = [] if checkpoints.finished_epochs() == params.epochs else checkpoints.saved()
    return range(max((epoch for epoch, _ in saved), default=0) + 1, params.epochs + 1)


def _choose_rate(data: TrainingData, lr: float, params: TrainParams, store: CheckpointStore) -> tuple[float, Parts]:
    """Return the rate to train at, and what the training depends on."""
    precision = choose_precision(params.precision, choose_device(params.device)).name
    depends = describe_run(data, lr, params, precision)
    if params.lr is None and (other := rate_to_go_on_with(store, depends, params.epochs)) is not None:
        return other, describe_run(data, other, params, precision)
    return lr, depends


def _begin(checkpoints: RunCheckpoints, store: CheckpointStore, params: TrainParams, depends: Parts) -> None:
    """Say where training starts: afresh, or after the last whole epoch of one that was not finished."""
    if checkpoints.finished_epochs() == params.epochs:
        checkpoints.clear()
    if last := checkpoints.last():
        log.info("going on after epoch %d of %d, from %s", last[0], params.epochs, checkpoints.folder)
    elif reason := explain_fresh_start(checkpoints, store, depends):
        log.info("training afresh: %s", reason)
    checkpoints.describe(depends, lr_found=params.lr is None)
