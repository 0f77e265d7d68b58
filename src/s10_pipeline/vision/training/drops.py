"""Which rate a drop of the learning rate led to, read off what a training left behind."""

from collections.abc import Mapping
from typing import Any

import pandas as pd


def annealed_epochs(train: Mapping[str, Any]) -> int:
    """In how many epochs at the end the rate fell to zero whatever the losses said; warm-up goes before.

    Args:
        train: parameters of the training, of an older version perhaps: what is missing was off.
    """
    after_warmup = int(train.get("epochs", 0)) - int(train.get("warmup_epochs", 0))
    return max(0, min(int(train.get("anneal_epochs", 0)), after_warmup))


def rate_after_drop(history: pd.DataFrame, row: int, train: Mapping[str, Any]) -> float | None:
    """The rate that the plateau set after the epoch of a row (from 0); None after the last, where it acted no more.

    Args:
        history: a row an epoch; ``lr`` is the rate of the epoch's last step.
        train: parameters of the training.
    """
    if row + 1 >= len(history):
        return None
    plateau, num_annealed = train.get("plateau"), annealed_epochs(train)
    if plateau and num_annealed and history["epoch"].iloc[row] == train["epochs"] - num_annealed:
        # the next epoch anneals: the rate at its end is not what the plateau set
        return float(max(history["lr"].iloc[row] * plateau["factor"], plateau.get("min_lr", 0.0)))
    return float(history["lr"].iloc[row + 1])
