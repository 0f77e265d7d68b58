"""Exponential moving average of the weights (Polyak and Juditsky 1992), built on ``torch.optim.swa_utils``."""

from itertools import chain
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

_PREFIX = "module."


def build_ema(model: nn.Module, decay: float) -> AveragedModel | None:
    """Return a model that averages weights and BatchNorm statistics of ``model`` over steps; None if ``decay`` is 0.

    The first update copies the model. Update n after it computes average = d * average + (1 - d) * weights with
    d = min(decay, (1 + n) / (10 + n)). With a constant d of 0.999, the nearly random weights of the first step would
    still make up half of the average after 700 steps. The same rule is in TensorFlow (``num_updates``):
    https://www.tensorflow.org/api_docs/python/tf/train/ExponentialMovingAverage

    Args:
        decay: largest value of d, in [0, 1).
    """
    return _Average(model, decay) if decay else None


class _Average(AveragedModel):
    def __init__(self, model: nn.Module, decay: float) -> None:
        super().__init__(model, use_buffers=True)
        self._decay = decay

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        # Do not call the method of AveragedModel, because it copies the counter to the GPU and waits for the copy.
        n = int(self.n_averaged)
        d = min(self._decay, (1 + n) / (10 + n)) if n else 0.0
        pairs = [*zip(*(chain(m.parameters(), m.buffers()) for m in (self.module, model)), strict=True)]
        averages, weights = zip(*(pair for pair in pairs if pair[0].is_floating_point()), strict=True)
        torch._foreach_lerp_(averages, weights, 1 - d)
        for average, counter in (pair for pair in pairs if not pair[0].is_floating_point()):
            average.copy_(counter)
        self.n_averaged += 1


def trained_weights(state: dict[str, Any]) -> dict[str, Any]:
    """Return the model weights of a checkpoint to measure and store: their moving average if there is one."""
    if state["average"] is None:
        weights: dict[str, Any] = state["model"]
        return weights
    return {name.removeprefix(_PREFIX): t for name, t in state["average"].items() if name.startswith(_PREFIX)}
