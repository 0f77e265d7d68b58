"""Build the optimiser (SGD with momentum), and compute the loss that it minimises."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..data.image_set import ImageSet
from ..data.split import Split
from .params import StepParams


def build_optimizer(model: nn.Module, params: StepParams, lr: float) -> torch.optim.SGD:
    """Build SGD with momentum (fused on CUDA and CPU); no weight decay on BatchNorm and biases if so configured."""
    learning = [p for p in model.parameters() if p.requires_grad]
    decayed = [p for p in learning if p.ndim > 1 or params.decay_norm_and_bias]
    spared = [p for p in learning if p.ndim <= 1 and not params.decay_norm_and_bias]
    groups = [{"params": decayed, "weight_decay": params.weight_decay}, {"params": spared, "weight_decay": 0.0}]
    optimizer = torch.optim.SGD(
        [group for group in groups if group["params"]],
        lr=lr,
        momentum=params.momentum,
        nesterov=params.nesterov,
        fused=next(model.parameters()).device.type in ("cuda", "cpu"),
    )
    if params.momentum:
        # Start with momentum 0. Otherwise fused SGD allocates momentum without initialising it, and keeps such values
        # if the gradient scaler skips the first step because of infinite gradients.
        for weights in learning:
            optimizer.state[weights]["momentum_buffer"] = torch.zeros_like(weights)
    return optimizer


def class_weights(images: ImageSet, train_set: Split, params: StepParams, device: torch.device) -> Tensor | None:
    """Return the class weights (K,) of the training loss, float32, on the device; None if ``class_weights`` is "none".

    ``balanced``: n / (K n_k), as in ``sklearn.utils.class_weight.compute_class_weight``, with n training images, n_k of
    them in class k. Classes without training images get weight 0 and do not count in K. The mean weight over training
    images is 1, so good learning rates stay about the same.
    """
    if params.class_weights == "none":
        return None
    counts_k = np.bincount(images.labels[train_set.indices], minlength=len(images.class_names))
    weights_k = len(train_set) / (np.count_nonzero(counts_k) * np.maximum(counts_k, 1))
    return torch.from_numpy(weights_k * (counts_k > 0)).float().to(device)


def training_loss(
    logits_bk: Tensor, labels_b: Tensor, label_smoothing: float, weights_k: Tensor | None = None
) -> Tensor:
    """Return the mean cross-entropy of a batch, computed in fp32 regardless of the network's precision.

    With class weights, an image's loss is multiplied by its class's weight after smoothing, because PyTorch would also
    weight the smoothed share of each class. The mean is over images, not over weights as in PyTorch, so the losses of a
    batch that is split across processes add up to the loss of the whole batch.
    """
    if weights_k is None:
        return F.cross_entropy(logits_bk.float(), labels_b, label_smoothing=label_smoothing)
    each_b = F.cross_entropy(logits_bk.float(), labels_b, label_smoothing=label_smoothing, reduction="none")
    return (weights_k[labels_b] * each_b).mean()
