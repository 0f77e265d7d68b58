"""The learning-rate range test (Smith 2015, arXiv:1506.01186) by torch-lr-finder.

The one file that knows torch-lr-finder: it prints, draws its own bar, leaves the RNG changed and never stops at NaN.
"""

import contextlib
import logging
from collections.abc import Iterable, Iterator
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch_lr_finder import LRFinder, TrainDataLoaderIter, lr_finder

from ..data.image_set import ImageSet
from ..data.loader import Batch, TrainLoader, resolve_num_workers
from ..data.split import Split
from ..device import choose_device, choose_precision, deterministic_algorithms, explain_out_of_memory
from ..errors import UserError
from ..network.classifier import Classifier
from ..progress import progress_bar
from ..training.checks import check_batch_size
from ..training.model import build_classifier
from ..training.optimizer import build_optimizer, training_loss
from ..training.params import StepParams
from .curve import noise_of, num_readable, smooth_losses
from .params import LrSearchParams
from .suggestions import MIN_FALL, fall_of, suggest_learning_rates

log = logging.getLogger(__name__)

COLUMNS = ("lr", "loss", "raw_loss", "run")


def find_learning_rate(
    images: ImageSet, train_set: Split, params: LrSearchParams, train: StepParams
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Run the range test on a fresh network over augmented training images, and read suggestions off it.

    Equal input gives equal rates, on CUDA too, whatever ``train.deterministic`` says.

    Where ``train.lr`` is given, no test runs unless ``lr_search.always`` asks for it.

    Returns:
        ``lr_curve`` (columns :data:`COLUMNS`: ``loss`` is smoothed, ``run`` counts tests from 0; empty without a test)
        and ``best_lr`` (``lr``, ``method``, ``candidates``: method -> lr, ``parameters``, ``read_to``: the first
        rate that is not read).

    Raises:
        UserError: the batch is larger than the set, or the loss diverged before a rate could be read off
            (where ``train.lr`` is given, it is taken instead, with a warning).
    """
    parameters = params.model_dump()
    given = {"lr": train.lr, "method": "train.lr", "candidates": {}, "read_to": None, "parameters": parameters}
    if not params.runs_test(train.lr):
        log.info("train.lr=%g was given: no range test; lr_search.always=true runs it all the same", train.lr)
        return pd.DataFrame(columns=COLUMNS, dtype=float), given
    check_batch_size(train_set, train)
    device = choose_device(train.device)
    model = build_classifier(images, train_set, train).to(device)
    loader = TrainLoader(
        images,
        train_set,
        train.batch_size,
        train.seed,
        resolve_num_workers(train.num_workers, device),
        pin_memory=device.type == "cuda",
    )
    with (
        # checkpoints are found by the rate too: a training that was interrupted goes on only if the same one comes out.
        # CUDA alone computes differently each time, and torch has no deterministic max pooling on Apple's GPUs.
        deterministic_algorithms(device.type == "cuda"),
        explain_out_of_memory(train.batch_size, device),
    ):
        lr_curve = run_range_test(model, loader, params, train)
    num_read = num_readable(lr_curve, params.smoothing)
    read_to = float(lr_curve["lr"].iloc[num_read]) if num_read < len(lr_curve) else None
    try:
        candidates = suggest_learning_rates(lr_curve[:num_read], params.start_lr)
    except UserError as error:
        if train.lr is None:
            raise
        log.warning("%s; going on with train.lr=%g, which was given", error, train.lr)
        return lr_curve, {**given, "read_to": read_to}
    listed = ", ".join(f"{method} {lr:.2g}" for method, lr in candidates.items())
    log.info("range test: %s; taking %s", listed, params.method if train.lr is None else f"train.lr={train.lr:g}")
    highest, lowest = fall_of(lr_curve[:num_read])
    if highest - lowest < max(MIN_FALL * highest, noise_of(lr_curve, params.smoothing)):
        log.warning(
            "range test: the loss fell by %.2g %% only, so the rates may be noise; look at lr_curve_plot, and try "
            "another lr_search.start_lr or end_lr, more lr_search.num_iterations, or give train.lr",
            100 * (1 - lowest / highest),
        )
    best_lr = {"lr": candidates[params.method], "method": params.method, "candidates": candidates}
    return lr_curve, {**best_lr, "read_to": read_to, "parameters": parameters}


def run_range_test(model: Classifier, loader: TrainLoader, params: LrSearchParams, train: StepParams) -> pd.DataFrame:
    """Raise the learning rate batch by batch; model and RNG are left as they were.

    The test stops where a batch's loss exceeds ``diverge_threshold`` times the lowest, or is not finite.

    Returns:
        columns :data:`COLUMNS`, one row per iteration whose loss was finite.
    """
    device = next(model.parameters()).device
    precision = choose_precision(train.precision, device)
    optimizer = build_optimizer(model, train, params.start_lr)
    was_training = model.training
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices), progress_bar("range test", params.num_iterations, "batches") as bar:
        torch.manual_seed(train.seed)
        finder = LRFinder(
            model,
            optimizer,
            _StopAtNonFinite(train.label_smoothing),
            amp_backend="torch",
            amp_config={
                "device_type": device.type,
                "enabled": precision.name != "fp32",
                "dtype": torch.float16 if precision.name == "fp16" else torch.bfloat16,
            },
            grad_scaler=precision.grad_scaler(),
        )

        def counted(iterable: Iterable[int]) -> Iterator[int]:
            for i in iterable:
                if finder.history["loss"]:
                    bar.note(f"loss {finder.history['loss'][-1]:.3f}  lr {finder.history['lr'][-1]:.2g}")
                yield i
                bar.advance()

        try:
            with (
                patch.object(lr_finder, "tqdm", counted),
                # redirecting standard output instead would swallow the bar with it
                patch.object(lr_finder, "print", log.debug, create=True),
                contextlib.suppress(_NonFiniteLoss),
            ):
                finder.range_test(
                    _Endless(loader),
                    end_lr=params.end_lr,
                    num_iter=params.num_iterations,
                    smooth_f=0,  # we smooth below, because its own mean lags behind the rate
                    diverge_th=params.diverge_threshold,
                )
        finally:
            finder.reset()
            model.zero_grad(set_to_none=True)
            model.train(was_training)
    num_points = min(len(finder.history["lr"]), len(finder.history["loss"]))
    lr, raw_loss = (np.array(finder.history[name][:num_points], float) for name in ("lr", "loss"))
    loss = smooth_losses(lr, raw_loss, params.smoothing)
    return pd.DataFrame({"lr": lr, "loss": loss, "raw_loss": raw_loss, "run": 0})[list(COLUMNS)]


class _NonFiniteLoss(Exception):
    """Ends the range test."""


class _StopAtNonFinite:
    def __init__(self, label_smoothing: float) -> None:
        self._label_smoothing = label_smoothing

    def __call__(self, logits_bk: Tensor, labels_b: Tensor) -> Tensor:
        loss = training_loss(logits_bk, labels_b, self._label_smoothing)
        if not torch.isfinite(loss):
            raise _NonFiniteLoss
        return loss


class _Endless(TrainDataLoaderIter):
    """Epoch after epoch of the loader's batches."""

    def __init__(self, loader: TrainLoader) -> None:
        super().__init__(loader.loader)
        self._batches = self._endless(loader)

    @staticmethod
    def _endless(loader: TrainLoader) -> Iterator[Batch]:
        epoch = 0
        while True:
            yield from loader.epoch(epoch)
            epoch += 1

    def __next__(self) -> Batch:
        return next(self._batches)
