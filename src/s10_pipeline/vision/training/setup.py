"""A fresh network and its optimiser, as training and the range test both start from."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..data.augmented import AugmentedSet
from ..data.image_set import ImageSet
from ..data.resize import describe_rule
from ..errors import UserError
from ..network.classifier import Classifier, ClassifierSpec, resolve_stem
from .params import TrainParams


def build_classifier(images: ImageSet, train_set: AugmentedSet, params: TrainParams) -> Classifier:
    """A network for these images, its weights a function of ``params.seed``; on the CPU, channels_last."""
    spec = ClassifierSpec(
        architecture=resolve_stem(params.architecture, images.image_size).model_dump(),
        class_names=images.class_names,
        mean=train_set.mean,
        std=train_set.std,
        resize=describe_rule(images.image_size),
        title=str(images.source.get("title", "")),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(params.seed)
        return Classifier(spec).to(memory_format=torch.channels_last)


def build_optimizer(model: nn.Module, params: TrainParams, lr: float) -> torch.optim.SGD:
    """SGD with momentum; weight decay spares BatchNorm and biases if ``decay_norm_and_bias`` is false."""
    decayed = [p for p in model.parameters() if p.ndim > 1 or params.decay_norm_and_bias]
    spared = [p for p in model.parameters() if p.ndim <= 1 and not params.decay_norm_and_bias]
    groups = [{"params": decayed, "weight_decay": params.weight_decay}, {"params": spared, "weight_decay": 0.0}]
    return torch.optim.SGD(
        [group for group in groups if group["params"]], lr=lr, momentum=params.momentum, nesterov=params.nesterov
    )


def training_loss(logits_bk: Tensor, labels_b: Tensor, label_smoothing: float) -> Tensor:
    """Mean cross-entropy of a batch, in fp32 whatever the network computed in."""
    return F.cross_entropy(logits_bk.float(), labels_b, label_smoothing=label_smoothing)


def check_batch_size(train_set: AugmentedSet, params: TrainParams) -> None:
    """Raises UserError where a batch would be larger than the training set."""
    if params.batch_size > len(train_set):
        raise UserError(
            f"train.batch_size={params.batch_size}: only {len(train_set)} training images are left after the "
            "validation split; take a smaller batch"
        )
