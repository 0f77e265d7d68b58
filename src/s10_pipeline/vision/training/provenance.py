"""Describe how a model was made, so that it can be made again and the report can state the origin of its numbers."""

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from ...identity.digests import digest_of
from ..data.image_set import content_digest
from ..data.split import indices_digest
from ..device import describe_device
from .data import TrainingData
from .engine import TrainingResult
from .git_state import describe_git_state
from .optimizer import class_weights
from .params import TrainParams
from .run_key import training_code
from .schedule import describe_schedule

# Libraries whose versions are recorded, because they can change a result.
LIBRARIES = ("torch", "torchvision", "albumentations", "opencv-python-headless", "numpy", "pillow", "torch-lr-finder")


def describe_training(
    data: TrainingData, best_lr: dict[str, Any], params: TrainParams, result: TrainingResult
) -> dict[str, Any]:
    """Return a description of a training that JSON can store: data, parameters, code, library versions and device.

    Everything comes from the inputs of the training, not from the parameters of a later call. Commit and library
    versions are included, so nodes that read this description run again after a retraining under another commit or
    other versions, even if the weights are equal.
    """
    model = result.model
    weights_k = class_weights(data.train_images, data.train_set, params, torch.device("cpu"))
    weights = {} if weights_k is None else dict(zip(model.class_names, weights_k.tolist(), strict=True))
    return {
        "data": {
            name: {**images.source, "digest": content_digest(images), "num_images": len(images)}
            for name, images in (("train", data.train_images), ("test", data.test_images))
        },
        "augment": {
            "train": data.train_set.transforms,
            **data.train_set.parameters,
            "images": {s.name: len(s) for s in (data.train_set, data.val_set, data.test_set)},
            "split_digests": {s.name: indices_digest(s) for s in (data.train_set, data.val_set, data.test_set)},
            "pixel_mean": data.train_set.mean,
            "pixel_std": data.train_set.std,
        },
        "lr_search": best_lr,
        "train": params.model_dump(),
        "schedule": describe_schedule(result.history.to_dict("records"), params),
        "model": {
            "lr": result.lr,
            "lr_from": _origin_of(result.lr, best_lr, params),
            "num_weights": sum(p.numel() for p in model.parameters()),
            "stem": model.spec.architecture.stem,
            "image_size": model.spec.image_size,
            "class_names": model.class_names,
            "mean": model.spec.mean,
            "std": model.spec.std,
            "weights_sha256": result.weights_sha256,
            "class_weights": weights,
        },
        "device": {"device": describe_device(result.device), "precision": result.precision},
        "code": {"version": _version("s10_pipeline"), "digest": digest_of(training_code()), **describe_git_state()},
        "libraries": {"python": platform.python_version(), **{name: _version(name) for name in LIBRARIES}},
        "checkpoints": result.run_key,
    }


def _origin_of(lr: float, best_lr: dict[str, Any], params: TrainParams) -> str:
    """Return the origin of the learning rate: "train.lr", "range test", "rule" or "interrupted training".

    "rule" is a rate that no range test checked, because the training is too short for one.

    A resumed training keeps its own rate, which an earlier range test found, so it can differ from ``best_lr``.
    """
    if params.lr is not None:
        return "train.lr"
    if lr != best_lr["lr"]:
        return "interrupted training"
    return "rule" if best_lr.get("unread") else "range test"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        # The project runs from its source folder, or the library was installed by a package of another name.
        return "not installed as a package"
