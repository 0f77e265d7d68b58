"""Record each epoch: one row of losses and accuracies, one row of times, one line in the log."""

import logging
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from ..data.workers import num_cores
from .metric_sums import MetricSums
from .params import TrainParams
from .schedule import SCHEDULES

log = logging.getLogger(__name__)

HISTORY_COLUMNS = (
    "epoch", "lr", "lr_after", "drop_reason", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "test_loss",
    "test_accuracy", "best_val_loss", "lr_dropped",
)  # fmt: skip
TIMING_COLUMNS = ("epoch", "epoch_seconds", "images_per_second", "data_wait_fraction")

# If waiting for batches takes more than this fraction of an epoch, a warning suggests a remedy.
LONG_WAIT = 0.2


@dataclass(frozen=True)
class EpochTiming:
    """Duration of one training epoch, and the time in it spent waiting for batches, both in seconds."""

    seconds: float
    waiting_seconds: float


class History:
    """Collects the tables ``training_history`` (``rows``) and ``training_timing`` (``timing``), with one row per epoch.

    Args:
        num_workers: number of data-loading processes per training process.
    """

    def __init__(self, params: TrainParams, num_workers: int = 0) -> None:
        self._params, self._num_workers = params, num_workers
        self._epochs_here, self._started = 0, time.monotonic()
        self.rows: list[dict[str, Any]] = []
        self.timing: list[dict[str, Any]] = []

    def add(
        self,
        lr: float,
        train: MetricSums,
        val: MetricSums,
        test: MetricSums,
        judged: dict[str, Any],
        timing: EpochTiming,
    ) -> None:
        """Add the next epoch's row to both tables, and log the epoch in one line.

        Args:
            lr: learning rate of the epoch's last step.
            judged: columns from the schedule (:meth:`.schedule.Schedule.after_epoch`).
        """
        epoch = len(self.rows) + 1
        row = {"epoch": epoch, "lr": lr, **judged, "lr_dropped": judged["lr_after"] < lr}
        for name, sums in (("train", train), ("val", val), ("test", test)):
            row |= {f"{name}_loss": sums.mean_loss(), f"{name}_accuracy": sums.accuracy()}
        self.rows.append({column: row[column] for column in HISTORY_COLUMNS})
        images_per_second = int(train.num_images) / timing.seconds
        waited = timing.waiting_seconds / timing.seconds
        self.timing.append(dict(zip(TIMING_COLUMNS, [epoch, timing.seconds, images_per_second, waited], strict=True)))
        self._epochs_here += 1
        seconds = (self._params.epochs - epoch) / self._epochs_here * (time.monotonic() - self._started)
        left = str(timedelta(seconds=round(seconds))).removeprefix("0:").removeprefix("0")
        log.info(
            "%d/%d  train %.3f %.1f %%  val %.3f %.1f %%  lr %.2g  %s img/s  eta %s",
            epoch, self._params.epochs, train.mean_loss(), 100 * train.accuracy(), val.mean_loss(),
            100 * val.accuracy(), lr, short_count(images_per_second), left,
        )  # fmt: skip
        if row["lr_dropped"] and epoch < self._params.epochs:
            # Log only drops of the learning rate before the last epoch, because a later drop has no effect.
            why = SCHEDULES[self._params.schedule].describe(row, self._params)
            log.info("schedule: learning rate %.2g -> %.2g, because %s", lr, row["lr_after"], why)
        self._warn_of_waiting()

    def _warn_of_waiting(self) -> None:
        """Warn once if data loading is the bottleneck, with a remedy."""
        waited = self.timing[-1]["data_wait_fraction"]
        # Look at the second epoch of this process, because the time of the first includes starting the workers.
        if self._epochs_here != 2 or waited <= LONG_WAIT:
            return
        cores = num_cores() // self._params.distributed.num_processes
        remedy = "choose fewer or cheaper transforms in augment.train"
        if self._num_workers < cores - 1:
            remedy = f"raise train.num_workers (now {self._num_workers}; {cores} cores are available), or {remedy}"
        log.warning("data is the bottleneck: waiting for batches takes %.0f %% of an epoch; %s", 100 * waited, remedy)


def short_count(number: float) -> str:
    """Format a number below a million in at most four characters; from 10,000 on in thousands: 980, 9800, 16k."""
    return f"{number:.0f}" if number < 10_000 else f"{number / 1000:.0f}k"
