"""The whole of training: what it may go on from, where it runs, what comes out."""

import logging
from dataclasses import dataclass

import pandas as pd
import torch

from ...identity.differences import Parts
from ..data.loader import EpochBatches
from ..device import choose_device, choose_precision
from ..errors import UserError
from ..network.classifier import Classifier
from ..progress import Bar
from .average import trained_weights
from .checkpoints import CheckpointScope, CheckpointStore
from .data import TrainingData
from .history import HISTORY_COLUMNS, TIMING_COLUMNS
from .params import TrainParams
from .run import TrainingRun
from .run_key import describe_run, explain_fresh_start, key_of
from .setup import build_classifier, check_batch_size, check_processes

log = logging.getLogger(__name__)


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
        UserError: batch size, device or precision do not fit; the loss diverged; memory or disk are full;
            a process of several died too often.
    """
    check_batch_size(data.train_set, params)
    device = choose_device(params.device)
    precision = choose_precision(params.precision, device).name
    if params.compile and device.type != "cuda":
        raise UserError(
            f"train.compile=true: is for CUDA, this run computes on {device.type}, where compiling takes longer than "
            "it saves; leave it out"
        )
    check_processes(params, device)
    depends = describe_run(data, lr, params, precision)
    scope_name = store.scope_for(key_of(depends), params.epochs)
    with store.open(scope_name, params.keep_checkpoints) as scope:
        _begin(scope, store, params, depends)
        total = params.epochs * len(EpochBatches(data.train_set.indices, params.batch_size, params.seed))
        with Bar("", total, "batches") as bar:
            if params.distributed.num_processes == 1:
                TrainingRun(data, lr, params, device).train(scope, bar)
            else:
                from .launch import train_in_processes  # torch's launcher takes a while to import

                train_in_processes(data, lr, params, device, scope, bar)
        last = scope.last()
    assert last is not None, "the last epoch was saved"
    state = last[1]
    model = build_classifier(data.train_images, data.train_set, params)
    model.load_state_dict(trained_weights(state))
    history = pd.DataFrame(state["history"], columns=list(HISTORY_COLUMNS))
    timing = pd.DataFrame(state["timing"], columns=list(TIMING_COLUMNS))
    return TrainingResult(model.eval(), history, timing, scope_name, device, precision)


def epochs_left(data: TrainingData, lr: float, params: TrainParams, store: CheckpointStore) -> range:
    """Epochs, from 1, that :func:`train_classifier` would train now: those after its last checkpoint."""
    precision = choose_precision(params.precision, choose_device(params.device)).name
    scope = CheckpointScope(
        store.root / store.scope_for(key_of(describe_run(data, lr, params, precision)), params.epochs),
        params.keep_checkpoints,
    )
    saved = [] if scope.finished_epochs() == params.epochs else scope.saved()
    return range(max((epoch for epoch, _ in saved), default=0) + 1, params.epochs + 1)


def _begin(scope: CheckpointScope, store: CheckpointStore, params: TrainParams, depends: Parts) -> None:
    """Say where training starts: afresh, or after the last whole epoch of one that was not finished."""
    if scope.finished_epochs() == params.epochs:
        scope.clear()
    if last := scope.last():
        log.info("going on after epoch %d of %d, from %s", last[0], params.epochs, scope.folder)
    elif reason := explain_fresh_start(scope, store, depends):
        log.info("training afresh: %s", reason)
    scope.describe(depends)
