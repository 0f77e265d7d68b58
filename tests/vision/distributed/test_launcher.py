import dataclasses
import json
import logging
import os
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure

from s10_pipeline.vision.data.image_set import ImageSet
from s10_pipeline.vision.data.loader import plain_batches
from s10_pipeline.vision.device import choose_precision
from s10_pipeline.vision.distributed import choose_run, launcher
from s10_pipeline.vision.distributed.launcher import LostError, _cause, _to_raise
from s10_pipeline.vision.errors import UserError
from s10_pipeline.vision.network import resnet
from s10_pipeline.vision.network.classifier import classifier_to_bytes
from s10_pipeline.vision.training.checkpoints import CheckpointStore
from s10_pipeline.vision.training.data import TrainingData
from s10_pipeline.vision.training.engine import Job, TrainingResult, train_classifier
from s10_pipeline.vision.training.measuring import measure
from s10_pipeline.vision.training.params import DistributedParams, TrainParams
from s10_pipeline.vision.training.trainer import DivergedError, diverged

# each launch starts two processes that import torch
pytestmark = pytest.mark.slow

FAULTS = Path(__file__).parents[2] / "faults"


@pytest.fixture(scope="module")
def data(data, tmp_path_factory) -> TrainingData:
    """Images in memory maps, as the catalog loads them: processes read them by name, so they start side by side."""

    def mapped(images: ImageSet) -> ImageSet:
        path = tmp_path_factory.mktemp("images") / "images.npy"
        np.save(path, images.images_nhwc)
        return dataclasses.replace(images, images_nhwc=np.load(path, mmap_mode="r"))

    return dataclasses.replace(data, train_images=mapped(data.train_images), test_images=mapped(data.test_images))


@pytest.fixture(scope="module")
def two(tiny) -> TrainParams:
    """Two processes, two epochs."""
    return tiny.model_copy(update={"distributed": DistributedParams(num_processes=2, max_restarts=1)})


@pytest.fixture(scope="module")
def whole(data, two, tmp_path_factory) -> TrainingResult:
    """What two processes make if nothing happens to them."""
    return train_classifier(data, 0.05, two, CheckpointStore(tmp_path_factory.mktemp("whole")), choose_run(two))


@pytest.fixture
def fault(monkeypatch, tmp_path):
    """Let training processes fail, see ``tests/faults``."""

    def prepare(**what: object) -> None:
        monkeypatch.setenv("PYTHONPATH", f"{FAULTS}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
        monkeypatch.setenv("S10_FAULT", json.dumps(what))

    return prepare


def test_without_batch_norm_two_processes_equal_one(data, two, tiny, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("PYTHONPATH", str(FAULTS))
    monkeypatch.setenv("S10_WITHOUT_NORM", "1")
    monkeypatch.setattr(resnet.nn, "BatchNorm2d", lambda channels: nn.Identity(channels))
    # each image is used once an epoch; the last batch has 40 of 64: both ranks' shares must count by their size
    changes = {"epochs": 3, "warmup_epochs": 1, "label_smoothing": 0.1, "weight_decay": 0.01}
    lr = 0.003  # without norms a higher one amplifies rounding
    one = train_classifier(data, lr, tiny.model_copy(update=changes), CheckpointStore(tmp_path / "one"))
    caplog.clear()
    rows: list[dict] = []
    with caplog.at_level(logging.INFO):
        store = CheckpointStore(tmp_path / "two", rows.append)
        several = train_classifier(data, lr, two.model_copy(update=changes), store, choose_run(two))
    torch.testing.assert_close(several.model.state_dict(), one.model.state_dict(), rtol=1e-4, atol=1e-6)
    pd.testing.assert_frame_equal(pd.DataFrame(rows)[several.history.columns], several.history)
    losses = [c for c in one.history if c.endswith("loss")]
    assert np.allclose(one.history[losses], several.history[losses], rtol=1e-4, equal_nan=True)
    accuracies = [c for c in one.history if c.endswith("accuracy")]
    # an image on the edge between two classes may fall to either side
    assert np.allclose(one.history[accuracies], several.history[accuracies], atol=1.5 / 40)
    pd.testing.assert_series_equal(one.history["lr"], several.history["lr"])
    assert np.allclose(one.margins["margin"], several.margins["margin"], atol=1e-3)
    # a slow epoch also tells its batches
    told = [message for message in caplog.messages if re.match(r"\d/3  train ", message)]
    assert len(told) == 3, "the first process alone reports, once an epoch"


def test_with_batch_norm_the_measured_model_is_the_saved_one(data, whole):
    last = whole.history.iloc[-1]
    for name, images, subset in (("val", data.train_images, data.val_set), ("test", data.test_images, data.test_set)):
        batches = plain_batches(images.images_nhwc, images.labels, subset.indices, 500)
        again, _ = measure(whole.model, batches, choose_precision("fp32", torch.device("cpu")))
        assert last[f"{name}_loss"] == pytest.approx(again.mean_loss(), rel=1e-6)
        assert last[f"{name}_accuracy"] == again.accuracy()


def test_a_killed_process_goes_on_from_the_checkpoint(data, two, whole, tmp_path, fault, caplog):
    fault(at="batch", epoch=2, batch=3, rank=1, do="kill", once=str(tmp_path / "killed"))
    with caplog.at_level(logging.INFO):
        restarted = train_classifier(data, 0.05, two, CheckpointStore(tmp_path / "restarted"), choose_run(two))
    assert (tmp_path / "killed").exists()
    (warning,) = (r.message for r in caplog.records if r.levelno == logging.WARNING)
    assert warning.startswith("restart 1 of 1, from epoch 2 on: ")
    assert restarted.history.equals(whole.history)
    assert restarted.margins.equals(whole.margins)
    assert classifier_to_bytes(restarted.model) == classifier_to_bytes(whole.model)


def test_processes_that_die_too_often_end_the_run(data, two, tmp_path, monkeypatch):
    launches = []

    def launch(job, *_):
        launches.append(job)
        raise LostError("training process 0 died")

    monkeypatch.setattr(launcher, "launch", launch)
    with CheckpointStore(tmp_path).open("key", keep=2) as checkpoints:
        checkpoints.save(1, {})
        job = Job(data, 0.05, two, torch.device("cpu"), checkpoints)
        with pytest.raises(UserError, match=r"max_restarts=1: .*process 0 died.* from epoch 2 on"):
            launcher.train_in_processes(job, lambda *_: None, lambda _: None)
    assert launches == [job] * 2


def test_an_error_of_one_process_is_the_run_s_error(data, two, tmp_path, fault, caplog):
    fault(at="batch", epoch=1, batch=2, rank=1, do="error")
    message = r"training process 1 failed:[\s\S]*in fail\n[\s\S]*RuntimeError: shapes do not fit"
    with pytest.raises(RuntimeError, match=message):
        train_classifier(data, 0.05, two, CheckpointStore(tmp_path), choose_run(two))
    assert not [r for r in caplog.records if "(restart" in r.message]


@pytest.mark.parametrize(
    ("error", "told"),
    [
        # as torch 2.15 raised them where the other process was killed
        (RuntimeError("[/__w/third_party/gloo/gloo/transport/tcp/pair.cc:561] Connection closed by peer"), LostError),
        (RuntimeError("[/__w/third_party/gloo/gloo/transport/tcp/pair.cc:545] Read error [::1]:1"), LostError),
        (RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed."), LostError),
        (torch.distributed.DistBackendError("NCCL error in: ProcessGroupNCCL.cpp, remote process exited"), LostError),
        (torch.distributed.DistNetworkError("The client socket has timed out"), LostError),
        (RuntimeError("Caught RuntimeError in DataLoader worker process 0."), RuntimeError),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), RuntimeError),
        (ValueError("gloo/"), RuntimeError),
        (diverged(0.1, epoch=1, batch=2), DivergedError),
    ],
)
def test_only_what_tells_of_a_death_may_be_tried_again(error, told):
    assert type(_to_raise(1, error)) is told


def test_an_error_that_would_come_again_is_the_cause_and_a_user_s_first():
    lost, bug, mistake = errors = [LostError("lost"), RuntimeError("bug"), UserError("mistake")]
    killed, failed = (
        ChildFailedError("name", {1: ProcessFailure(1, pid=1, exitcode=code, error_file="")}) for code in (-9, 1)
    )
    assert _cause(killed, errors) is mistake
    assert _cause(killed, [lost, bug]) is bug
    assert _cause(failed, [lost]) is lost
    assert repr(_cause(killed, [lost])) == "LostError('training process 1 died (SIGKILL)')"
    assert repr(_cause(failed, [])) == "LostError('training process 1 failed (exit code 1)')"
