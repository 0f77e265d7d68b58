"""The learning rate over time: warm-up, ReduceLROnPlateau, and if wanted a fall to zero at the end."""

from typing import Any

import torch
from torch.optim.lr_scheduler import ReduceLROnPlateau

from .params import TrainParams


class Schedule:
    """Sets the optimiser's learning rate before each step and after each epoch.

    Warm-up grows linearly to the full rate over ``warmup_epochs`` (Goyal et al. 2017, arXiv:1706.02677). Then
    ReduceLROnPlateau watches the validation loss. In the last ``anneal_epochs`` the rate falls linearly from where the
    plateau left it to zero, and the plateau has no more say: a plateau alone may drop too late for the epochs given.

    Args:
        lr: the full rate.
        steps_per_epoch: batches an epoch.
    """

    def __init__(self, optimizer: torch.optim.SGD, lr: float, params: TrainParams, steps_per_epoch: int) -> None:
        self._optimizer, self._full_lr, self._params, self._steps = optimizer, lr, params, steps_per_epoch
        plateau = params.plateau
        self._plateau = ReduceLROnPlateau(
            optimizer,
            factor=plateau.factor,
            patience=plateau.patience,
            threshold=plateau.threshold,
            cooldown=plateau.cooldown,
            min_lr=plateau.min_lr,
        )
        # epochs up to this one see the plateau
        self._anneal_after = max(params.warmup_epochs, params.epochs - params.anneal_epochs)
        self._anneal_from: float | None = None

    @property
    def lr(self) -> float:
        return float(self._optimizer.param_groups[0]["lr"])

    def before_step(self, epoch: int, step: int) -> float:
        """Set the rate of a step (from 0) of an epoch (from 1), where it changes within an epoch; return the rate."""
        done = (epoch - 1) * self._steps + step
        warmup = self._params.warmup_epochs * self._steps
        if done < warmup:
            self._set(self._full_lr * (done + 1) / warmup)
        elif epoch > self._anneal_after:
            if self._anneal_from is None:
                self._anneal_from = self.lr
            total = (self._params.epochs - self._anneal_after) * self._steps
            self._set(self._anneal_from * (1 - (done - self._anneal_after * self._steps) / total))
        return self.lr

    def after_epoch(self, epoch: int, val_loss: float) -> str | None:
        """Let the plateau see an epoch's validation loss; if it lowers the rate, say so and why."""
        if not self._params.warmup_epochs < epoch <= self._anneal_after:
            return None
        before = self.lr
        self._plateau.step(val_loss)
        if self.lr >= before:
            return None
        return (
            f"learning rate {before:.2g} -> {self.lr:.2g}: no better validation loss than {self._plateau.best:.4f} "
            f"for more than {self._params.plateau.patience} epochs"
        )

    def _set(self, lr: float) -> None:
        for group in self._optimizer.param_groups:
            group["lr"] = lr

    def state_dict(self) -> dict[str, Any]:
        return {"plateau": self._plateau.state_dict(), "anneal_from": self._anneal_from}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._plateau.load_state_dict(state["plateau"])
        self._anneal_from = state["anneal_from"]
