"""Exponential moving average of the weights (Polyak and Juditsky 1992), built on ``torch.optim.swa_utils``."""

from typing import Any

from torch import Tensor, nn
from torch.optim.swa_utils import PARAM_LIST, AveragedModel, get_ema_multi_avg_fn

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
    if not decay:
        return None

    def follow(averages: PARAM_LIST, weights: PARAM_LIST, _n: Tensor | int) -> None:
        # Read the average's own counter, which is on the CPU, because reading the argument would wait for the GPU.
        n = int(average.n_averaged)
        step = get_ema_multi_avg_fn(min(decay, (1 + n) / (10 + n)))  # type: ignore[no-untyped-call]
        step(averages, weights, n)

    average = AveragedModel(model, multi_avg_fn=follow, use_buffers=True)
    return average


def trained_weights(state: dict[str, Any]) -> dict[str, Any]:
    """Return the model weights of a checkpoint to measure and store: their moving average if there is one."""
    if state["average"] is None:
        weights: dict[str, Any] = state["model"]
        return weights
    return {name.removeprefix(_PREFIX): t for name, t in state["average"].items() if name.startswith(_PREFIX)}
