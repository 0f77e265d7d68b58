"""Exponential moving average of the weights (Polyak and Juditsky 1992), by torch.optim.swa_utils."""

from typing import Any

from torch import Tensor, nn
from torch.optim.swa_utils import PARAM_LIST, AveragedModel, get_ema_multi_avg_fn

_PREFIX = "module."


def build_ema(model: nn.Module, decay: float) -> AveragedModel | None:
    """A copy of the model that follows it, running means of BatchNorm too; None without a decay.

    The first step copies, step n after it leaves min(decay, (1 + n) / (10 + n)) of the average: with a constant 0.999
    the weights of the first step, nearly random ones, would make up half of it after 700 steps. By TensorFlow,
    https://www.tensorflow.org/api_docs/python/tf/train/ExponentialMovingAverage (``num_updates``).

    Args:
        decay: the most of the average that a step leaves, in [0, 1).
    """
    if not decay:
        return None

    def follow(averages: PARAM_LIST, weights: PARAM_LIST, _n: Tensor | int) -> None:
        n = int(average.n_averaged)  # on the CPU; the argument is a copy on the device, and reading it would wait
        step = get_ema_multi_avg_fn(min(decay, (1 + n) / (10 + n)))  # type: ignore[no-untyped-call]
        step(averages, weights, n)

    average = AveragedModel(model, multi_avg_fn=follow, use_buffers=True)
    return average


def trained_weights(state: dict[str, Any]) -> dict[str, Any]:
    """Of a checkpoint, the weights that training is about: the averaged ones where there are some."""
    if state["average"] is None:
        weights: dict[str, Any] = state["model"]
        return weights
    return {name.removeprefix(_PREFIX): t for name, t in state["average"].items() if name.startswith(_PREFIX)}
