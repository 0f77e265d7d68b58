"""A fresh network and its optimiser, as training and the range test both start from."""

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..data.augmented import AugmentedSet
from ..data.image_set import ImageSet
from ..data.resize import describe_rule
from ..errors import UserError
from ..network.classifier import Classifier, ClassifierSpec, resolve_stem
from ..network.whitening import PatchWhitening
from .params import TrainParams

# Images that a whitened stem is fitted to; fewer where those have more pixels than this, since patches are what counts.
NUM_WHITENED, NUM_WHITENED_PIXELS = 1000, 2**22


def build_classifier(images: ImageSet, train_set: AugmentedSet, params: TrainParams) -> Classifier:
    """A network for these images, on the CPU: its weights are a function of ``params.seed``.

    Those of a whitened stem are one of training images from all over the set, since folders come sorted by class.
    """
    spec = ClassifierSpec(
        architecture=resolve_stem(params.architecture, images.image_size).model_dump(),
        class_names=images.class_names,
        mean=train_set.mean,
        std=train_set.std,
        resize=describe_rule(images.image_size),
        title=str(images.source.get("title", "")),
        drawn=bool(images.source.get("drawn", False)),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(params.seed)
        model = Classifier(spec)
    first = model.network.stem[0]
    if isinstance(first, PatchWhitening):
        num_images = min(len(train_set), NUM_WHITENED, max(1, NUM_WHITENED_PIXELS // math.prod(images.image_size)))
        rows = np.linspace(0, len(train_set) - 1, num_images).astype(int)
        some = images.images_nhwc[train_set.indices[rows]]
        first.fit(model.normalise(torch.from_numpy(some).permute(0, 3, 1, 2)))
    return model


def build_optimizer(model: nn.Module, params: TrainParams, lr: float) -> torch.optim.SGD:
    """SGD with momentum, fused; weight decay spares BatchNorm and biases if ``decay_norm_and_bias`` is false."""
    decayed = [p for p in model.parameters() if p.ndim > 1 or params.decay_norm_and_bias]
    spared = [p for p in model.parameters() if p.ndim <= 1 and not params.decay_norm_and_bias]
    groups = [{"params": decayed, "weight_decay": params.weight_decay}, {"params": spared, "weight_decay": 0.0}]
    return torch.optim.SGD(
        [group for group in groups if group["params"]],
        lr=lr,
        momentum=params.momentum,
        nesterov=params.nesterov,
        fused=next(model.parameters()).device.type in ("cuda", "cpu"),
    )


def training_loss(logits_bk: Tensor, labels_b: Tensor, label_smoothing: float) -> Tensor:
    """Mean cross-entropy of a batch, in fp32 whatever the network computed in."""
    return F.cross_entropy(logits_bk.float(), labels_b, label_smoothing=label_smoothing)


def check_batch_size(train_set: AugmentedSet, params: TrainParams) -> None:
    """Raises UserError where a batch would be larger than the training set, or too small to be shared out."""
    num_processes = params.distributed.num_processes
    if params.batch_size < 2 * num_processes:
        raise UserError(
            f"train.batch_size={params.batch_size}: train.distributed.num_processes={num_processes} share it, and "
            f"BatchNorm needs two images each; take at least {2 * num_processes}"
        )
    if params.batch_size > len(train_set):
        raise UserError(
            f"train.batch_size={params.batch_size}: only {len(train_set)} training images are left after the "
            "validation split; take a smaller batch"
        )


def check_processes(params: TrainParams, device: torch.device) -> None:
    """Raises UserError where ``train.distributed.num_processes`` and the device do not fit."""
    num_processes = params.distributed.num_processes
    if num_processes == 1:
        return
    name = f"train.distributed.num_processes={num_processes}"
    if device.type == "mps":
        raise UserError(f"{name}: an Apple GPU is one; leave it at 1, or take train.device=cpu")
    if device.type == "cuda" and device.index is not None:
        raise UserError(f"{name}: train.device={params.device} names one GPU; take train.device=cuda, which is all")
    if device.type == "cuda" and num_processes > torch.cuda.device_count():
        raise UserError(f"{name}: one a GPU, and this host has {torch.cuda.device_count()}; take at most that")
