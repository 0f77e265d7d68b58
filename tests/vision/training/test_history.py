import logging
from types import SimpleNamespace

import pytest
import torch

from s10_pipeline.vision.training import history as history_module
from s10_pipeline.vision.training.history import EpochTiming, History
from s10_pipeline.vision.training.metric_sums import MetricSums
from s10_pipeline.vision.training.params import TrainParams

SUMS = MetricSums(torch.tensor(20.0), torch.tensor(30), torch.tensor(40))

STEADY = {"lr_after": 0.1, "drop_reason": "", "best_val_loss": 0.5}
DROPPED = {"lr_after": 0.01, "drop_reason": "plateau", "best_val_loss": 0.5}


def after_epochs(waited: list[float], num_workers: int, caplog, monkeypatch, cores: int = 8) -> list[str]:
    """Warnings after epochs of 2 s, ``waited`` of which went into waiting."""
    monkeypatch.setattr(history_module, "num_cores", lambda: cores)
    history = History(TrainParams(), num_workers)
    with caplog.at_level(logging.WARNING):
        for seconds in waited:
            history.add(0.1, SUMS, SUMS, SUMS, STEADY, EpochTiming(2.0, seconds))
    return caplog.messages


def test_an_epoch_is_a_row_of_figures_and_a_row_of_times():
    history = History(TrainParams())
    history.add(0.1, SUMS, SUMS, SUMS, DROPPED, EpochTiming(2.0, 0.5))
    assert history.rows[0]["train_loss"] == 0.5
    assert history.rows[0]["test_accuracy"] == 0.75
    assert history.rows[0]["lr_dropped"] is True
    assert (history.rows[0]["lr_after"], history.rows[0]["drop_reason"]) == (0.01, "plateau")
    assert history.timing == [{"epoch": 1, "epoch_seconds": 2.0, "images_per_second": 20.0, "data_wait_fraction": 0.25}]


@pytest.mark.parametrize(("seconds", "left"), [(2.0, "1:38"), (0.5, "0:24"), (200.0, "2:43:20")])
def test_an_epoch_is_one_line_of_80_columns(caplog, monkeypatch, seconds, left):
    monkeypatch.setattr(history_module, "time", SimpleNamespace(monotonic=iter([0.0, seconds]).__next__))
    caplog.set_level(logging.INFO)
    History(TrainParams(epochs=50)).add(0.00012, SUMS, SUMS, SUMS, STEADY, EpochTiming(0.001, 0.0))
    line = f"1/50  train 0.500 75.0 %  val 0.500 75.0 %  lr 0.00012  40k img/s  eta {left}"
    assert caplog.messages[0] == line


@pytest.mark.parametrize(("num_workers", "advised"), [(2, True), (7, False)])
def test_waiting_for_data_is_told_once_with_what_to_raise(num_workers, advised, caplog, monkeypatch):
    (told,) = after_epochs([0.1, 1.0, 1.2], num_workers, caplog, monkeypatch)
    assert "50 % of an epoch" in told and "augment.train" in told
    assert (f"raise train.num_workers (now {num_workers}; 8 cores" in told) == advised


@pytest.mark.parametrize("waited", [[1.9], [1.9, 0.3], [0.3] * 5])
def test_a_first_epoch_or_short_waits_are_no_bottleneck(waited, caplog, monkeypatch):
    assert after_epochs(waited, 2, caplog, monkeypatch) == []
