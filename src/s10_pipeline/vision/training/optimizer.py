"""SGD with momentum, and the loss that it minimises."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..data.image_set import ImageSet
from ..data.split import Split
from .params import StepParams


def build_optimizer(model: nn.Module, params: StepParams, lr: float) -> torch.optim.SGD:
    """SGD with momentum, fused; weight decay spares BatchNorm and biases if ``decay_norm_and_bias`` is false."""
    learning = [p for p in model.parameters() if p.requires_grad]
    decayed = [p for p in learning if p.ndim > 1 or params.decay_norm_and_bias]
    spared = [p for p in learning if p.ndim <= 1 and not params.decay_norm_and_bias]
    groups = [{"params": decayed, "weight_decay": params.weight_decay}, {"params": spared, "weight_decay": 0.0}]
    return torch.optim.SGD(
        [group for group in groups if group["params"]],
        lr=lr,
        momentum=params.momentum,
        nesterov=params.nesterov,
        fused=next(model.parameters()).device.type in ("cuda", "cpu"),
    )


def class_weights(images: ImageSet, train_set: Split, params: StepParams, device: torch.device) -> Tensor | None:
    """Return the weights (K,) of the training loss, float32, on the device; None where ``class_weights`` is ``none``.

    ``balanced``: n / (K n_k), as by ``sklearn.utils.class_weight.compute_class_weight``; 0 for a class without training
    images, which K does not count either. Their mean over training images is 1, so learning rates keep their meaning.
    """
    if params.class_weights == "none":
        return None
    counts_k = np.bincount(images.labels[train_set.indices], minlength=len(images.class_names))
    weights_k = len(train_set) / (np.count_nonzero(counts_k) * np.maximum(counts_k, 1))
    return torch.from_numpy(weights_k * (counts_k > 0)).float().to(device)


def training_loss(
    logits_bk: Tensor, labels_b: Tensor, label_smoothing: float, weights_k: Tensor | None = None
) -> Tensor:
    """Mean cross-entropy of a batch, in fp32 whatever the network computed in.

    With weights: their sum over the batch is not divided by, so that parts of a batch on several processes add up to
    the whole.
    """
    if weights_k is None:
        return F.cross_entropy(logits_bk.float(), labels_b, label_smoothing=label_smoothing)
    total = F.cross_entropy(logits_bk.float(), labels_b, weights_k, label_smoothing=label_smoothing, reduction="sum")
    return total / len(labels_b)
