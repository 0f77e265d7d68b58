"""SGD with momentum, and the loss that it minimises."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .params import StepParams


def build_optimizer(model: nn.Module, params: StepParams, lr: float) -> torch.optim.SGD:
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
