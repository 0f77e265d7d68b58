"""Choose the learning rate by a rule from batch size and momentum; range tests check the rate.

In benchmarks/lr_finders.py, no method that reads the rate from an affordable range test trained as well as the rule. So
a range test lowers the rate if the loss rises steeply near it, and never raises it.
"""

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ..errors import UserError
from .curve import SKIP_START, blow_up, noise_of, num_readable
from .params import LrSearchParams

log = logging.getLogger(__name__)

# Value of ``lr_search.method`` -> name of the method in the figure and the report.
METHODS = {
    "auto": "rule, checked by the range test",
    "minimum": "lowest loss, as the 2020 notebook",
}

# Minimum number of batches before divergence; a range test that diverges earlier is an error.
MIN_POINTS = SKIP_START + 7

# Upper limit of the learning rate, as a share of the rate at which the loss of a range test rises steeply
# (:func:`.curve.blow_up`). A long training diverges at lower rates, because a test trains few batches at each rate.
SAFE_SHARE = 0.5

# Mean and standard deviation of ``Reading.fall_by_chance`` if the true loss is constant, at most. They were measured on
# 15 times 1,500 simulated range tests, of 40 to 600 batches with a smoothing of 0.05 to 0.3. There, the mean of n range
# tests exceeds CONSTANT_MEAN by 3.4 standard errors in fewer than 1 of 500 cases.
CONSTANT_MEAN = 0.45
CONSTANT_DEVIATION = 0.16

# If range tests suggest learning rates that differ by more than this factor, the lowest is used, with a warning.
MAX_BAND = 3.0


def rates_by_rule(batch_size: int, momentum: float) -> tuple[float, float]:
    """Return two learning rates for SGD and a ResNet with BatchNorm: the usual rate and a lower, cautious one.

    With momentum 0.9 these are ``max(0.1, 0.2 * batch_size / 128)`` and 0.1. Both are proportional to ``1 - momentum``,
    because momentum makes steps ``1 / (1 - momentum)`` times longer (Smith et al. 2018, arXiv:1711.00489). The usual
    rate grows with the batch size as in Goyal et al. 2017 (arXiv:1706.02677). The constants were chosen on one half of
    the settings of benchmarks/lr_finders.py and scored on the other half.
    """
    cautious = 0.1 * (1 - momentum) / (1 - 0.9)
    return cautious * max(1.0, batch_size / 64), cautious


@dataclass(frozen=True)
class Reading:
    """Learning rates that one range test suggests, and how far the loss fell.

    Attributes:
        minimum: rate of the lowest smoothed loss before the loss first diverges.
        read_to: first rate that is not used to find ``minimum``; infinite if all are used.
        limit: highest rate that is safe; infinite if the loss did not blow up.
        fall: fall of the loss to its minimum, as a share of the highest loss before it.
        fall_by_chance: fall of the loss to its minimum, divided by the largest fall that chance explains.
    """

    minimum: float
    read_to: float
    limit: float
    fall: float
    fall_by_chance: float


def read_test(curve: pd.DataFrame, params: LrSearchParams) -> Reading:
    """Read the suggested learning rates and the fall of the loss from the curve of one range test.

    Args:
        curve: columns ``lr`` (ascending), ``loss`` (smoothed), ``raw_loss``; one row per batch.

    Raises:
        UserError: the loss diverged after fewer than 17 batches.
    """
    if len(curve) < MIN_POINTS:
        raise UserError(
            f"lr_search.start_lr={params.start_lr:g}: the loss diverged after {len(curve)} batches, too few to read a "
            f"learning rate from ({MIN_POINTS} are needed); lower start_lr, or give train.lr"
        )
    num_points = max(num_readable(curve, params.smoothing), SKIP_START + 1)
    lr, loss = (curve[name].to_numpy(float)[SKIP_START:num_points] for name in ("lr", "loss"))
    lowest = int(np.argmin(loss))
    highest = float(loss[: lowest + 1].max())
    fall = highest - float(loss[lowest])
    return Reading(
        minimum=float(lr[lowest]),
        read_to=float(curve["lr"].iloc[num_points]) if num_points < len(curve) else float("inf"),
        limit=SAFE_SHARE * blow_up(curve, params.end_lr),
        fall=fall / highest,
        fall_by_chance=fall / noise_of(curve, params.smoothing),
    )


def choose_rate(lr_curve: pd.DataFrame, params: LrSearchParams, batch_size: int, momentum: float) -> dict[str, Any]:
    """Choose the learning rate from the curves of all range tests; warn if it is not the usual one of the method.

    Args:
        lr_curve: curves of all tests; if it is empty, the cautious rate is used, because nothing checks the rule.

    Returns:
        ``best_lr`` as in :func:`.range_test.find_learning_rate`.
    """
    by_rule, cautious = rates_by_rule(batch_size, momentum)
    tests = [read_test(curve, params) for _, curve in lr_curve.groupby("run")]
    found = {
        "auto": [min(by_rule, test.limit) for test in tests] or [cautious],
        "minimum": [test.minimum for test in tests] or [cautious],
    }
    rates = {"auto": min(found["auto"]), "minimum": float(np.exp(np.mean(np.log(found["minimum"]))))}
    low, high = min(found[params.method]), max(found[params.method])
    rate, reason = rates[params.method], ""
    falls = [test.fall_by_chance for test in tests]
    fell = bool(tests) and np.mean(falls) > CONSTANT_MEAN + 3.4 * CONSTANT_DEVIATION / np.sqrt(len(tests))
    largest_fall = 100 * max((test.fall for test in tests), default=0.0)
    if tests and params.method == "minimum" and not fell:
        rate, reason = cautious, f"the loss fell by only {largest_fall:.2g} %, which may be chance"
    elif high > MAX_BAND * low:
        rate, reason = low, f"tests differ from {low:.2g} to {high:.2g}"
    elif tests and params.method == "auto" and low < by_rule:
        reason = f"the loss rises steeply at {low / SAFE_SHARE:.2g}, near the usual rate of {by_rule:.2g}"
    elif tests and not fell:
        log.info(
            "range tests: the loss fell by only %.2g %%, too little to compare learning rates; the usual rate for this "
            "batch size and momentum, %.2g, is used", largest_fall, rate,
        )  # fmt: skip
    if reason:
        log.warning(
            "range test: %s, so the learning rate %.2g is used; look at lr_curve_plot and the images, raise "
            "lr_search.num_iterations, or give train.lr", reason, rate,
        )  # fmt: skip
    read_to = min((test.read_to for test in tests), default=np.inf)
    return {
        "lr": rate,
        "method": params.method,
        "candidates": {**rates, params.method: rate} if tests else {},
        "band": [low, high],
        "read_to": read_to if np.isfinite(read_to) else None,
        "num_tests": len(tests),
        "unread": None if tests else "the training is too short for one",
        "parameters": params.model_dump(),
    }
