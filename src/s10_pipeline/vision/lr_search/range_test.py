"""The learning-rate range test (Smith 2015, arXiv:1506.01186) by torch-lr-finder.

The one file that knows torch-lr-finder: it prints, draws its own bar, leaves the RNG changed and never stops at NaN.
"""

import contextlib
import logging
from collections.abc import Iterable, Iterator
from typing import Any
from unittest.mock import patch

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
from .params import LrSearchParams
from .suggestions import MAX_SPREAD, MIN_FALL, fall_of, spread_of, suggest_learning_rates

log = logging.getLogger(__name__)


def find_learning_rate(
    images: ImageSet, train_set: Split, params: LrSearchParams, train: StepParams
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Run the range test on a fresh network over augmented training images, and read suggestions off it.

    Equal input gives equal rates, on CUDA too, whatever ``train.deterministic`` says.

    Returns:
        ``lr_curve`` (columns ``lr``, ``loss``: exponential mean of the training loss) and ``best_lr``
        (``lr``, ``method``, ``candidates``: method -> lr, ``spread`` of all but the minimum, ``parameters``).

    Raises:
        UserError: the batch is larger than the set, or the loss diverged before a rate could be read off
            (where ``train.lr`` is given, it is taken instead, with a warning).
    """
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
    try:
        candidates = suggest_learning_rates(lr_curve, params.start_lr)
    except UserError as error:
        if train.lr is None:
            raise
        log.warning("%s; going on with train.lr=%g, which was given", error, train.lr)
        return lr_curve, {
            "lr": train.lr,
            "method": "train.lr",
            "candidates": {},
            "spread": None,
            "parameters": params.model_dump(),
        }
    if (fall := fall_of(lr_curve)) < MIN_FALL:
        log.warning(
            "range test: the loss fell by %.2g %% only, so the rates may be noise; look at lr_curve_plot, and try "
            "another lr_search.start_lr or end_lr, more lr_search.num_iterations, or give train.lr",
            100 * fall,
        )
    return lr_curve, _choose(candidates, params)


def _choose(candidates: dict[str, float], params: LrSearchParams) -> dict[str, Any]:
    spread = spread_of(candidates)
    listed = ", ".join(f"{method} {lr:.2g}" for method, lr in candidates.items())
    log.info("range test: %s; taking %s", listed, params.method)
    if spread > MAX_SPREAD:
        log.warning(
            "range test: without the minimum, the suggestions differ %.0f times (%s); "
            "look at lr_curve_plot before trusting %s",
            spread,
            listed,
            params.method,
        )
    return {
        "lr": candidates[params.method],
        "method": params.method,
        "candidates": candidates,
        "spread": spread,
        "parameters": params.model_dump(),
    }


def run_range_test(model: Classifier, loader: TrainLoader, params: LrSearchParams, train: StepParams) -> pd.DataFrame:
    """Raise the learning rate batch by batch; model and RNG are left as they were.

    The test stops where a batch's loss exceeds ``diverge_threshold`` times the lowest, or is not finite.

    Returns:
        columns ``lr`` and ``loss`` (exponential mean), a row an iteration whose loss was finite.
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
                    smooth_f=0,  # smoothed below: its own mean gives the first batch all the weight of the start
                    diverge_th=params.diverge_threshold,
                )
        finally:
            finder.reset()
            model.zero_grad(set_to_none=True)
            model.train(was_training)
    num_points = min(len(finder.history["lr"]), len(finder.history["loss"]))
    curve = pd.DataFrame({name: finder.history[name][:num_points] for name in ("lr", "loss")})
    # bias-corrected: early points are means of the few losses seen so far (Kingma and Ba 2015, section 3)
    return curve.assign(loss=curve["loss"].ewm(alpha=params.smoothing, adjust=True).mean())


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
