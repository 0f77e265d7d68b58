"""Exponential moving average of the weights (Polyak and Juditsky 1992), by torch.optim.swa_utils."""

from typing import Any

from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

_PREFIX = "module."


def average_of(model: nn.Module, decay: float) -> AveragedModel | None:
    """A copy of the model that follows it, running means of BatchNorm too; None without a decay.

    Args:
        decay: share of the average that each step leaves, in [0, 1).
    """
    if not decay:
        return None
    follow = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
    return AveragedModel(model, multi_avg_fn=follow, use_buffers=True)


def trained_weights(state: dict[str, Any]) -> dict[str, Any]:
    """Of a checkpoint, the weights that training is about: the averaged ones where there are some."""
    if state["average"] is None:
        weights: dict[str, Any] = state["model"]
        return weights
    return {name.removeprefix(_PREFIX): t for name, t in state["average"].items() if name.startswith(_PREFIX)}
