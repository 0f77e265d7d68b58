"""Learning-rate schedules: warm-up, then the schedule named by ``train.schedule``, then annealing to zero.

torch is imported only when a schedule is built, so that the report can use the descriptions without torch.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from .params import TrainParams

if TYPE_CHECKING:
    from torch.optim import SGD


class Schedule(ABC):
    """Base class: sets the optimiser's learning rate before each step and after each epoch.

    In the first ``warmup_epochs`` the rate grows linearly to the full rate (Goyal et al. 2017, arXiv:1706.02677). In
    the last ``anneal_epochs`` it falls linearly towards zero from wherever the schedule left it, so that training ends
    at a low rate even if the schedule lowered it too late. In between, subclasses decide after each epoch, by
    :meth:`_judge`.

    Args:
        lr: the full rate, reached at the end of warm-up.
        steps_per_epoch: batches per epoch.
    """

    # Measurement by which this schedule lowers the rate, in words for the report, such as "validation loss".
    decided_by: ClassVar[str]

    def __init__(self, optimizer: "SGD", lr: float, params: TrainParams, steps_per_epoch: int) -> None:
        self._optimizer, self._full_lr, self._params, self._steps = optimizer, lr, params, steps_per_epoch
        # Number of epochs at the start, with warm-up or downscaled images, in which the subclass leaves the rate alone.
        self._act_after = max(params.warmup_epochs, params.resized_epochs)
        # Last epoch after which the subclass may lower the rate; in all later epochs the rate is annealed.
        self._anneal_after = max(params.warmup_epochs, params.epochs - params.anneal_epochs)
        self._anneal_from: float | None = None
        # Learning rate at the end of the previous epoch, to tell whether the rate fell since then.
        self._last_lr = lr

    @property
    def lr(self) -> float:
        return float(self._optimizer.param_groups[0]["lr"])

    def before_step(self, epoch: int, step: int) -> float:
        """Set and return the learning rate of step number ``step`` (from 0, within its epoch) of an epoch (from 1)."""
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

    def after_epoch(self, epoch: int, val_loss: float) -> dict[str, Any]:
        """Adjust the learning rate after an epoch, by the epoch's validation loss.

        Returns:
            columns of this epoch's history row: ``lr_after``, the rate after the update; ``drop_reason``, what lowered
            the rate in or directly after this epoch ("anneal", the schedule's name, or empty); and the columns that
            :meth:`_judge` returns.
        """
        acts = self._act_after < epoch <= self._anneal_after
        judged = self._judge(val_loss) if acts else {}
        reason = self._params.schedule if acts else "anneal"
        lowered, self._last_lr = epoch > self._params.warmup_epochs and self.lr < self._last_lr, self.lr
        return {"best_val_loss": None, **judged, "lr_after": self.lr, "drop_reason": reason if lowered else ""}

    def _judge(self, val_loss: float) -> dict[str, Any]:
        """Lower the learning rate if the validation loss calls for it; return more columns of the training history."""
        return {}

    @classmethod
    def describe(cls, row: Mapping[Any, Any], params: TrainParams) -> str:
        """Return a sentence on why the learning rate fell, for a row of the training history with a ``drop_reason``.

        ``provenance`` stores this sentence, so the report need not simulate the schedule.
        """
        if row["drop_reason"] == "anneal":
            return f"From epoch {row['epoch']} on, the rate was annealed linearly to zero, whatever the losses said"
        return cls._describe(row, params)

    @classmethod
    @abstractmethod
    def _describe(cls, row: Mapping[Any, Any], params: TrainParams) -> str:
        """Return a sentence on why this schedule lowered the learning rate after the epoch in ``row``."""

    def _set(self, lr: float) -> None:
        for group in self._optimizer.param_groups:
            group["lr"] = lr

    def state_dict(self) -> dict[str, Any]:
        return {"anneal_from": self._anneal_from, "last_lr": self._last_lr}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._anneal_from, self._last_lr = state["anneal_from"], state["last_lr"]


class PlateauSchedule(Schedule):
    """Lower the rate when the validation loss stops improving (``torch.optim.lr_scheduler.ReduceLROnPlateau``)."""

    decided_by = "validation loss"

    def __init__(self, optimizer: "SGD", lr: float, params: TrainParams, steps_per_epoch: int) -> None:
        from torch.optim.lr_scheduler import ReduceLROnPlateau

        super().__init__(optimizer, lr, params, steps_per_epoch)
        self._plateau = ReduceLROnPlateau(optimizer, **params.plateau.model_dump())

    def _judge(self, val_loss: float) -> dict[str, Any]:
        self._plateau.step(val_loss)
        return {"best_val_loss": float(self._plateau.best)}

    @classmethod
    def _describe(cls, row: Mapping[Any, Any], params: TrainParams) -> str:
        plateau = params.plateau
        bad_epochs = f"{plateau.patience + 1} epochs" if plateau.patience else "1 epoch"
        return (
            f"for {bad_epochs}, the validation loss did not fall {100 * plateau.threshold:.2g}% below its best, "
            f"{row['best_val_loss']:.4g}"
        )

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "plateau": self._plateau.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self._plateau.load_state_dict(state["plateau"])


# The schedule class for each value of ``train.schedule``.
SCHEDULES: dict[str, type[Schedule]] = {"plateau": PlateauSchedule}


def describe_schedule(rows: Iterable[Mapping[Any, Any]], params: TrainParams) -> dict[str, Any]:
    """Describe in sentences how the learning rate changed during a training.

    Args:
        rows: the rows of the training history.

    Returns:
        ``decided_by``: list of what lowered the rate, in order of first occurrence. ``drops``: one entry per drop
        between two epochs, with ``epoch`` (the one before the drop), ``lr``, ``lr_after`` and ``sentence``. ``falls``:
        one sentence per period in which the rate fell with each step. ``warmup``: a sentence, or empty. A drop after
        the last epoch had no effect, so it is left out.
    """
    schedule = SCHEDULES[params.schedule]
    drops: list[dict[str, Any]] = []
    falls: list[str] = []
    first = f"{params.warmup_epochs} epochs" if params.warmup_epochs > 1 else "epoch"
    warmup = f"Warm-up: in the first {first}, the rate rose linearly" if params.warmup_epochs else ""
    rows = list(rows)
    if rows and rows[-1]["lr_after"] < rows[-1]["lr"]:
        rows.pop()
    reasons = [row["drop_reason"] for row in rows if row["drop_reason"]]
    decided_by = dict.fromkeys("annealing" if reason == "anneal" else schedule.decided_by for reason in reasons)
    before = ""
    for row in rows:
        reason = row["drop_reason"]
        if row["lr_after"] < row["lr"]:
            told = {name: row[name] for name in ("epoch", "lr", "lr_after")}
            drops.append({**told, "sentence": schedule.describe(row, params)})
        elif reason and reason != before:
            falls.append(schedule.describe(row, params))
        before = reason
    return {"decided_by": list(decided_by), "drops": drops, "falls": falls, "warmup": warmup}
