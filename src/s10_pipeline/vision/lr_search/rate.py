"""The learning rate: a rule by batch size and momentum, checked by range tests.

No reading of a range test that a training can afford trained as well as the rule (benchmarks/lr_finders.py), so a test
lowers the rate where the loss blows up near it, and raises it never.
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

# Value of ``lr_search.method`` -> its name in figure and report.
METHODS = {
    "auto": "rule, checked by the range test",
    "minimum": "lowest loss (as in 2020)",
}

# A test that broke off after fewer batches is not read.
MIN_POINTS = SKIP_START + 7

# A rate is kept up to this share of the one at which a test's loss blew up: a test passes each rate in a few batches,
# so its loss rises late.
SAFE_SHARE = 0.5

# Where tests differ by more, the lowest rate is taken, with a warning.
MAX_BAND = 3.0


def rates_by_rule(batch_size: int, momentum: float) -> tuple[float, float]:
    """Return the rate to train with and the cautious one, for SGD and a residual network with BatchNorm.

    ``max(0.1, 0.2 * batch_size / 128)`` and 0.1 where momentum is 0.9; both are proportional to ``1 - momentum``,
    because momentum makes steps ``1 / (1 - momentum)`` times longer (Smith et al. 2018, arXiv:1711.00489). The rate
    grows with the batch as in Goyal et al. 2017 (arXiv:1706.02677). The factors were chosen by trainings in the design
    half of benchmarks/lr_finders.py, and scored by the other half.
    """
    cautious = 0.1 * (1 - momentum) / (1 - 0.9)
    return cautious * max(1.0, batch_size / 64), cautious


@dataclass(frozen=True)
class Reading:
    """What one range test says.

    Attributes:
        minimum: rate of the lowest smoothed loss before it first diverges.
        read_to: first rate that is not read; infinite if all are.
        limit: highest rate that is safe; infinite if the loss did not blow up.
        fall: of the loss up to its minimum, as a share of the highest before.
        errors: the same in units of what chance explains.
    """

    minimum: float
    read_to: float
    limit: float
    fall: float
    errors: float


def read_test(curve: pd.DataFrame, params: LrSearchParams) -> Reading:
    """Read one test.

    Args:
        curve: columns ``lr`` (ascending), ``loss`` (smoothed), ``raw_loss``; one row per batch.

    Raises:
        UserError: the loss diverged within 17 batches.
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
        errors=fall / noise_of(curve, params.smoothing),
    )


def choose_rate(lr_curve: pd.DataFrame, params: LrSearchParams, batch_size: int, momentum: float) -> dict[str, Any]:
    """Return ``best_lr`` (:func:`.range_test.find_learning_rate`), and warn where tests speak against the rate.

    Args:
        lr_curve: of all tests; if there is none, nothing checks the rule, and the cautious rate is taken.
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
    # each is in units of what chance explains in one test
    fell = sum(test.errors for test in tests) > np.sqrt(len(tests))
    largest_fall = 100 * max((test.fall for test in tests), default=0.0)
    if high > MAX_BAND * low:
        rate, reason = low, f"tests differ from {low:.2g} to {high:.2g}"
    elif tests and params.method == "auto" and low < by_rule:
        reason = f"the loss blows up at {low / SAFE_SHARE:.2g}, near the usual rate of {by_rule:.2g}"
    elif tests and params.method == "minimum" and not fell:
        rate, reason = cautious, f"the loss fell by {largest_fall:.2g} % only, which may be chance"
    elif tests and not fell:
        log.info("range test: the loss fell by %.2g %% only, so it says little about the rate", largest_fall)
    if reason:
        log.warning(
            "range test: %s, so the cautious rate %.2g is taken; look at lr_curve_plot and the images, raise "
            "lr_search.num_iterations, or give train.lr", reason, rate,
        )  # fmt: skip
    read_to = min((test.read_to for test in tests), default=np.inf)
    return {
        "lr": rate,
        "method": params.method,
        "candidates": {**rates, params.method: rate},
        "band": [low, high],
        "read_to": read_to if np.isfinite(read_to) else None,
        "parameters": params.model_dump(),
    }
