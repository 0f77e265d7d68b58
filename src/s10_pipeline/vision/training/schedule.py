"""The learning rate over time: warm-up, then what ``train.schedule`` names, and if wanted a fall to zero at the end.

torch is imported where a schedule is built, so that names and descriptions can be read without it.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from .params import TrainParams

if TYPE_CHECKING:
    from torch.optim import SGD


class Schedule(ABC):
    """Sets the optimiser's learning rate before each step and after each epoch.

    Warm-up grows linearly to the full rate over ``warmup_epochs`` (Goyal et al. 2017, arXiv:1706.02677). In the last
    ``anneal_epochs`` the rate falls linearly from where the schedule left it to zero. Subclasses say what happens in
    between, by :meth:`_rate` or :meth:`_judge`. A plateau that drops too late would end training at a high rate;
    annealing brings it to zero within the epochs given.

    Args:
        lr: the full rate.
        steps_per_epoch: batches per epoch.
    """

    # Whether the rate of a step depends on ``epochs``, annealing apart.
    looks_at_epochs: ClassVar[bool] = False
    # By what the rate is decided, for people.
    decided_by: ClassVar[str]

    def __init__(self, optimizer: "SGD", lr: float, params: TrainParams, steps_per_epoch: int) -> None:
        self._optimizer, self._full_lr, self._params, self._steps = optimizer, lr, params, steps_per_epoch
        # the subclass acts after the first of these epochs and up to the second
        self._act_after = max(params.warmup_epochs, params.resized_epochs)
        self._anneal_after = max(params.warmup_epochs, params.epochs - params.anneal_epochs)
        self._anneal_from: float | None = None
        self._last_lr = lr  # that the epoch before left behind

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
        elif (rate := self._rate(done - warmup)) is not None:
            self._set(rate)
        return self.lr

    def after_epoch(self, epoch: int, val_loss: float) -> dict[str, Any]:
        """Let the schedule see an epoch's validation loss.

        Returns:
            columns of the history's row: ``lr_after``, the rate that the epoch leaves behind; ``drop_reason``, what
            lowered the rate in this epoch or after it (``anneal``, the schedule's name, or empty); and
            :meth:`_judge`'s.
        """
        acts = self._act_after < epoch <= self._anneal_after
        judged = self._judge(val_loss) if acts else {}
        reason = self._params.schedule if acts else "anneal"
        lowered, self._last_lr = epoch > self._params.warmup_epochs and self.lr < self._last_lr, self.lr
        return {"best_val_loss": None, **judged, "lr_after": self.lr, "drop_reason": reason if lowered else ""}

    def _rate(self, step: int) -> float | None:
        """The rate of a step, counted from the end of warm-up; None: as it is."""
        return None

    def _judge(self, val_loss: float) -> dict[str, Any]:
        """Change the rate by a validation loss; return further columns of the history's row."""
        return {}

    @classmethod
    def describe(cls, row: Mapping[Any, Any], params: TrainParams) -> str:
        """Say why the rate fell, from a row of the history whose ``drop_reason`` is not empty.

        ``provenance`` stores the sentence, so the report shows what happened and replays no schedule.
        """
        if row["drop_reason"] == "anneal":
            return f"Annealing: from epoch {row['epoch']} on, the rate fell linearly to zero, whatever the losses said"
        return cls._describe(row, params)

    @classmethod
    @abstractmethod
    def _describe(cls, row: Mapping[Any, Any], params: TrainParams) -> str:
        """Say why this schedule lowered the rate."""

    def _set(self, lr: float) -> None:
        for group in self._optimizer.param_groups:
            group["lr"] = lr

    def state_dict(self) -> dict[str, Any]:
        return {"anneal_from": self._anneal_from, "last_lr": self._last_lr}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._anneal_from, self._last_lr = state["anneal_from"], state["last_lr"]


class PlateauSchedule(Schedule):
    """ReduceLROnPlateau on the validation loss; a plateau alone may drop too late for the epochs given."""

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
            f"for {bad_epochs}, the validation loss stayed above {row['best_val_loss']:.4g} less "
            f"{100 * plateau.threshold:.2g}%"
        )

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "plateau": self._plateau.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self._plateau.load_state_dict(state["plateau"])


# Each value of train.schedule.
SCHEDULES: dict[str, type[Schedule]] = {"plateau": PlateauSchedule}


def describe_schedule(rows: Iterable[Mapping[Any, Any]], params: TrainParams) -> dict[str, Any]:
    """Tell what moved the learning rate in a training.

    Args:
        rows: the history.

    Returns:
        ``decided_by``: what lowered the rate, in the order in which it did; ``drops``: each time it was lowered between
        two epochs: ``epoch`` (after it), ``lr``, ``lr_after``, ``sentence``; ``falls``: a sentence for each stretch in
        which it fell from step to step; ``warmup``: a sentence, or empty.
    """
    schedule = SCHEDULES[params.schedule]
    drops: list[dict[str, Any]] = []
    falls: list[str] = []
    first = f"{params.warmup_epochs} epochs" if params.warmup_epochs > 1 else "epoch"
    warmup = f"Warm-up: in the first {first}, the rate rose linearly" if params.warmup_epochs else ""
    rows = list(rows)
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
