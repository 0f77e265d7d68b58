"""Run learning-rate range tests (Smith 2015, arXiv:1506.01186) with torch-lr-finder.

Only this module uses torch-lr-finder. It works around that library's habits: it prints, draws its own progress bar,
changes the state of random generators, and does not stop at NaN.
"""

import contextlib
import logging
from collections.abc import Iterable, Iterator
from itertools import chain, count
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch_lr_finder import LRFinder, TrainDataLoaderIter, lr_finder

from ..data.image_set import ImageSet
from ..data.loader import Batch, TrainLoader
from ..data.split import Split
from ..data.workers import resolve_num_workers
from ..device import choose_device, choose_precision, deterministic_algorithms, explain_out_of_memory
from ..errors import UserError
from ..network.classifier import Classifier
from ..progress import progress_bar
from ..training.checks import check_batch_size, num_batches
from ..training.model import build_classifier
from ..training.optimizer import build_optimizer, class_weights, training_loss
from ..training.params import StepParams
from .curve import smooth_losses
from .params import LrSearchParams
from .rate import METHODS, choose_rate

log = logging.getLogger(__name__)

COLUMNS = ("lr", "loss", "raw_loss", "run")


def find_learning_rate(
    images: ImageSet, train_set: Split, params: LrSearchParams, train: StepParams
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Run range tests with untrained networks on augmented training images, and choose a rate (:func:`.choose_rate`).

    Equal inputs give equal rates, on CUDA too, regardless of ``train.deterministic``. If ``train.lr`` is given, no test
    runs unless ``lr_search.always`` is set. No test runs for a training that is too short.

    Returns:
        ``lr_curve`` (columns :data:`COLUMNS`; ``loss`` is smoothed, ``run`` is the number of the test from 0; empty
        without a test) and ``best_lr``, a dictionary: ``lr``; ``method``; ``candidates`` (method -> rate); ``band``
        (lowest and highest rate from a single test); ``read_to`` (first rate that was not used to find the lowest loss;
        None: all were); ``num_tests``, the number of tests that ran; ``unread``, the reason why no rate was read from
        tests (None: one was); ``parameters``.

    Raises:
        UserError: a batch is larger than the training set, or the loss diverged too early to choose a rate. In the
            latter case a given ``train.lr`` is used instead, with a warning.
    """
    given: dict[str, Any] = {
        "lr": train.lr,
        "method": "train.lr",
        "candidates": {},
        "band": [train.lr, train.lr],
        "read_to": None,
        "num_tests": 0,
        "unread": "train.lr was given and lr_search.always is false",
        "parameters": params.model_dump(),
    }
    if not params.runs_test(train.lr):
        log.info("no range test, because train.lr=%g was given; lr_search.always=true runs it anyway", train.lr)
        return pd.DataFrame(columns=COLUMNS, dtype=float), given
    check_batch_size(train_set, train)
    num_tests, num_iterations = params.plan(num_batches(train_set, train))
    planned = params.model_copy(update={"num_iterations": num_iterations})
    curves = [_run_test(images, train_set, planned, train, run) for run in range(num_tests)]
    lr_curve = pd.concat(curves, ignore_index=True) if curves else pd.DataFrame(columns=COLUMNS, dtype=float)
    try:
        best_lr = choose_rate(lr_curve, params, train.batch_size, train.momentum)
    except UserError as error:
        if train.lr is None:
            raise
        log.warning("range test not used: %s; continuing with the given train.lr=%g", error, train.lr)
        return lr_curve, {**given, "num_tests": num_tests, "unread": "the loss diverged too early"}
    taken = f"{best_lr['lr']:.2g}" if train.lr is None else f"train.lr={train.lr:g}"
    if num_tests:
        listed = ", ".join(f"{METHODS[name]} {lr:.2g}" for name, lr in best_lr["candidates"].items())
        log.info(
            "range test: %d tests of %d batches; suggested learning rates: %s; using %s",
            *(num_tests, num_iterations, listed, taken),
        )
    else:
        log.info("this training is too short for a range test; using the learning rate %s, unchecked", taken)
        best_lr = best_lr if train.lr is None else {**given, "unread": best_lr["unread"]}
    return lr_curve, best_lr


def _run_test(images: ImageSet, train_set: Split, params: LrSearchParams, train: StepParams, run: int) -> pd.DataFrame:
    train = train.model_copy(update={"seed": (train.seed + run) % 2**32})
    device = choose_device(train.device)
    num_workers, on_cuda = resolve_num_workers(train.num_workers, device), device.type == "cuda"
    loader = TrainLoader(images, train_set, train.batch_size, train.seed, num_workers, pin_memory=on_cuda)
    with (
        # Make the range test on CUDA deterministic, because an interrupted training resumes only at the same rate. CPU
        # results are reproducible anyway, and torch has no deterministic max pooling on Apple GPUs.
        deterministic_algorithms(on_cuda),
        explain_out_of_memory(train.batch_size, device),
    ):
        model = build_classifier(images, train_set, train).to(device)
        weights_k = class_weights(images, train_set, train, device)
        return run_range_test(model, loader, params, train, weights_k).assign(run=run)


def run_range_test(
    model: Classifier,
    loader: TrainLoader,
    params: LrSearchParams,
    train: StepParams,
    weights_k: Tensor | None = None,
) -> pd.DataFrame:
    """Run one range test: train ``model`` while raising the learning rate from batch to batch.

    The test stops when a batch's loss exceeds ``diverge_threshold`` times the lowest, or is not finite. The model is
    changed and of no further use; torch's random-generator states are restored.

    Args:
        weights_k: class weights of the loss (K,); None: no weights.

    Returns:
        columns :data:`COLUMNS`, one row per batch whose loss was finite.
    """
    device = next(model.parameters()).device
    precision = choose_precision(train.precision, device)
    optimizer = build_optimizer(model, train, params.start_lr)

    def finite_loss(logits_bk: Tensor, labels_b: Tensor) -> Tensor:
        loss = training_loss(logits_bk, labels_b, train.label_smoothing, weights_k)
        if not torch.isfinite(loss):
            raise _NonFiniteLoss
        return loss

    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices), progress_bar("range test", params.num_iterations, "batches") as bar:
        torch.manual_seed(train.seed)
        dtype = torch.float16 if precision.name == "fp16" else torch.bfloat16
        amp = {"device_type": device.type, "enabled": precision.name != "fp32", "dtype": dtype}
        scaler = precision.grad_scaler()
        finder = LRFinder(model, optimizer, finite_loss, amp_backend="torch", amp_config=amp, grad_scaler=scaler)

        def counted(iterable: Iterable[int]) -> Iterator[int]:
            for i in iterable:
                yield i
                lr, loss = finder.history["lr"][-1], finder.history["loss"][-1]
                bar.show(i + 1, "range test", f"loss {loss:.3f}  lr {lr:.2g}")

        with (
            patch.object(lr_finder, "tqdm", counted),
            # Log what torch-lr-finder prints, instead of redirecting standard output, which has the progress bar.
            patch.object(lr_finder, "print", log.debug, create=True),
            contextlib.suppress(_NonFiniteLoss),
        ):
            finder.range_test(
                _Endless(loader),
                end_lr=params.end_lr,
                num_iter=params.num_iterations,
                smooth_f=0,  # Record raw losses; smooth_losses smooths them.
                diverge_th=params.diverge_threshold,
            )
    lr, raw_loss = (np.array(finder.history[name], float) for name in ("lr", "loss"))
    loss = smooth_losses(lr, raw_loss, params.smoothing)
    return pd.DataFrame({"lr": lr, "loss": loss, "raw_loss": raw_loss, "run": 0})[list(COLUMNS)]


class _NonFiniteLoss(Exception):
    """Raised to stop the range test at a loss that is NaN or infinite."""


class _Endless(TrainDataLoaderIter):
    """Endless iterator over training batches: after the last batch of an epoch, the next epoch begins."""

    def __init__(self, loader: TrainLoader) -> None:
        # Do not call super().__init__(), because it calls iter(loader), but TrainLoader needs an epoch number.
        self._batches = chain.from_iterable(map(loader.epoch, count()))

    def __next__(self) -> Batch:
        return next(self._batches)
