"""Read the settings of benchmarks/lr_settings.yml, and run one training or range test in a setting."""

import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from lr_images import read_images
from s10_pipeline.vision.data.loader import Batch, TrainLoader
from s10_pipeline.vision.data.params import AugmentParams
from s10_pipeline.vision.data.split import Split, build_sets
from s10_pipeline.vision.device import choose_precision
from s10_pipeline.vision.lr_search.params import LrSearchParams
from s10_pipeline.vision.lr_search.range_test import run_range_test
from s10_pipeline.vision.network.classifier import Classifier
from s10_pipeline.vision.training.checks import num_batches as batches_of
from s10_pipeline.vision.training.data import TrainingData
from s10_pipeline.vision.training.measuring import MeasuredImages, measure
from s10_pipeline.vision.training.model import build_classifier
from s10_pipeline.vision.training.optimizer import build_optimizer
from s10_pipeline.vision.training.params import TrainParams
from s10_pipeline.vision.training.step import build_step
from s10_pipeline.vision.training.trainer import DivergedError, Trainer, train_epoch

FILE = Path(__file__).parent / "lr_settings.yml"

# Range tests: (first rate, last rate, batches, batches of warm-up before it). "auto" is the project's own test, with as
# few batches as it allows itself.
TESTS = {
    "auto": (LrSearchParams().start_lr, LrSearchParams().end_lr, LrSearchParams().num_iterations, 0),
    "fresh": (1e-5, 10.0, 150, 0),  # about the range and speed of the environments `base` and `seed`
    "fine": (1e-3, 10.0, 300, 0),  # of `sample`
    "warm": (1e-3, 10.0, 200, 100),
}
# From this batch size on, the longer tests have half their batches: they would outlast the training.
LARGE_BATCH = 256

COMMON = {
    "momentum": 0.9,
    "nesterov": True,
    "weight_decay": 5e-4,
    "decay_norm_and_bias": False,
    "precision": "bf16",
    "device": "cpu",
    "num_workers": 0,
}
PLATEAU = {"factor": 0.5, "patience": 1, "threshold": 1e-3}
AUGMENT: dict[str, list[dict[str, dict[str, Any]]]] = {
    "shapes10": [
        {"PaddedRandomCrop": {"padding": 0.0625}},
        {"HorizontalFlip": {"p": 0.5}},
        {"Cutout": {"size": 0.25, "fill": "mean", "p": 1.0}},
    ],
    "digits": [{"PaddedRandomCrop": {"padding": 0.125}}],
    "cifar": [
        {"PaddedRandomCrop": {"padding": 0.125}},
        {"HorizontalFlip": {"p": 0.5}},
        {"Cutout": {"size": 0.25, "fill": "mean", "p": 0.5}},
    ],
}


@dataclass(frozen=True)
class LrSetting:
    """One training task that defines everything except the learning rate and the seed.

    Attributes:
        half: ``design`` or ``held_out``.
        data: ``source``, number of ``images`` before the validation split, and special properties.
        train: parameters of ``train`` that differ from :data:`COMMON`.
        lowest_rate: lowest of the six rates of the grid, which are half a decade apart.
        seeds: number of trainings per rate.
    """

    name: str
    half: str
    data: dict[str, Any]
    train: dict[str, Any]
    lowest_rate: float
    seeds: int = 3

    @property
    def digest(self) -> str:
        """Return a digest of the setting's definition; results of an earlier definition are ignored."""
        definition = json.dumps([self.data, self.train], sort_keys=True)
        return hashlib.sha256(definition.encode()).hexdigest()[:8]

    def params(self, seed: int) -> TrainParams:
        plateau = {**PLATEAU, **self.train.get("plateau", {})}
        return TrainParams.model_validate({**COMMON, **self.train, "plateau": plateau, "seed": seed})

    @property
    def batch_size(self) -> int:
        return int(self.train["batch_size"])

    def sets(self, cifar: str | None) -> tuple[TrainingData, Split]:
        """Return the training data, with one scoring image in place of the test set, and the scoring images."""
        images, scoring = read_images(json.dumps(self.data), cifar)
        augment = {"train": AUGMENT[self.data["source"]], "val_fraction": self.data.get("val_fraction", 0.1)}
        train_set, val_set, scoring_set = build_sets(images, scoring, AugmentParams.model_validate(augment))
        unread = Split("test", scoring_set.indices[:1], [], scoring_set.mean, scoring_set.std)
        return TrainingData(images, scoring, train_set, val_set, unread), scoring_set

    def train_at(self, rate: float, seed: int, cifar: str | None) -> dict[str, Any]:
        """Train once; a training that diverged gets the accuracy of guessing."""
        data, scoring_set = self.sets(cifar)
        started = time.process_time()
        trainer = Trainer(data, rate, self.params(seed), torch.device("cpu"))
        accuracy = val_accuracy = 1 / len(data.train_images.class_names)
        diverged = False
        try:
            # trainings are short, so an interrupted one starts again
            trainer.train(save=lambda *_: None, show=lambda *_: None)
        except DivergedError:
            diverged = True
        else:
            scoring = MeasuredImages(data.test_images, scoring_set.indices, trainer.device)
            accuracy = measure(trainer.model, scoring, trainer.precision)[0].accuracy()
            val_accuracy = trainer.history.rows[-1]["val_accuracy"]
        return {
            "accuracy": round(accuracy, 5),
            "val_accuracy": round(val_accuracy, 5),
            "diverged": int(diverged),
            "seconds": round(time.process_time() - started, 2),
        }

    def test(self, kind: str, seed: int, cifar: str | None) -> dict[str, Any]:
        """Run one range test of :data:`TESTS`, up to 20 times the lowest loss, beyond the stop of every rule."""
        start_lr, end_lr, num_batches, warm_batches = TESTS[kind]
        data, _ = self.sets(cifar)
        params = self.params(seed)
        if kind == "auto":
            _, num_batches = LrSearchParams().plan(batches_of(data.train_set, params))
        elif kind != "fresh" and self.batch_size >= LARGE_BATCH:
            num_batches, warm_batches = num_batches // 2, warm_batches // 2
        started = time.process_time()
        model = build_classifier(data.train_images, data.train_set, params)
        loader = TrainLoader(data.train_images, data.train_set, params.batch_size, seed)
        if warm_batches:
            self._warm_up(model, loader, params, warm_batches)
        search = LrSearchParams(start_lr=start_lr, end_lr=end_lr, num_iterations=num_batches, diverge_threshold=20.0)
        curve = run_range_test(model, loader, search, params)
        np.testing.assert_allclose(curve["lr"], rates_of_test(start_lr, end_lr, num_batches)[: len(curve)], rtol=1e-6)
        return {
            "start_lr": start_lr,
            "end_lr": end_lr,
            "num_batches": num_batches,
            "seconds": round(time.process_time() - started, 2),
            "losses": " ".join(f"{loss:.4g}" for loss in curve["raw_loss"]),
        }

    def _warm_up(self, model: Classifier, loader: TrainLoader, params: TrainParams, num_batches: int) -> None:
        """Train at a rate of 0.01 x batch size / 128, on other batches than the test's."""
        rate = 0.01 * self.batch_size / 128
        precision = choose_precision(params.precision, torch.device("cpu"))
        step = build_step(model, build_optimizer(model, params, rate), precision, params)
        torch.manual_seed(params.seed)
        train_epoch(step, islice(_batches_from(loader, first_epoch=1000), num_batches), epoch=1)


def rates_of_test(start_lr: float, end_lr: float, num_batches: int) -> np.ndarray:
    """Return the learning rate of each batch of a range test."""
    return start_lr * (end_lr / start_lr) ** (np.arange(num_batches) / (num_batches - 1))


def _batches_from(loader: TrainLoader, first_epoch: int) -> Iterator[Batch]:
    for epoch in count(first_epoch):
        yield from loader.epoch(epoch)


def load_settings(file: Path = FILE) -> dict[str, LrSetting]:
    return {name: LrSetting(name, **fields) for name, fields in yaml.safe_load(file.read_text()).items()}
