import threading

import pytest
import torch

from s10_pipeline.vision.errors import UserError
from s10_pipeline.vision.training.checkpoint_writer import checkpoint_writer
from s10_pipeline.vision.training.checkpoints import CheckpointStore

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.fixture
def checkpoints(tmp_path):
    with CheckpointStore(tmp_path).open("key", keep=9) as opened:
        yield opened


def fail(*_: object) -> None:
    raise UserError("the disk is full")


def test_on_the_cpu_a_checkpoint_is_saved_at_once(checkpoints, monkeypatch):
    with checkpoint_writer(checkpoints, torch.device("cpu")) as save:
        save(1, {"weights": torch.ones(2)})
        assert [epoch for epoch, _ in checkpoints.saved()] == [1]
    monkeypatch.setattr(checkpoints, "save", fail)
    with checkpoint_writer(checkpoints, torch.device("cpu")) as save, pytest.raises(UserError, match="disk is full"):
        save(2, {})
    assert checkpoints.last()[0] == 1


@pytest.mark.gpu
@needs_cuda
def test_on_cuda_training_goes_on_while_the_state_is_written(checkpoints, monkeypatch):
    weights, may_write, plain = torch.ones(1000, device="cuda"), threading.Event(), checkpoints.save

    def slow(epoch: int, state: dict) -> None:
        assert may_write.wait(60)
        plain(epoch, state)

    monkeypatch.setattr(checkpoints, "save", slow)
    with checkpoint_writer(checkpoints, torch.device("cuda")) as save:
        save(1, {"weights": [weights], "epoch": 1})
        weights.zero_()  # the next step, which must not reach the checkpoint
        assert not checkpoints.saved()
        may_write.set()
        save(2, {"weights": [weights], "epoch": 2})
        ((epoch, path), *_) = checkpoints.saved()
        assert epoch == 1
        assert torch.equal(torch.load(path)["state"]["weights"][0], torch.ones(1000))
    epoch, state = checkpoints.last()
    assert (epoch, state["epoch"], float(state["weights"][0].sum())) == (2, 2, 0.0)


@pytest.mark.gpu
@needs_cuda
@pytest.mark.parametrize("num_saves", [1, 2])
def test_on_cuda_an_error_comes_with_the_next_save_or_at_the_end(checkpoints, monkeypatch, num_saves):
    monkeypatch.setattr(checkpoints, "save", fail)
    started = []
    with pytest.raises(UserError, match="full"), checkpoint_writer(checkpoints, torch.device("cuda")) as save:  # noqa: PT012
        for epoch in range(1, num_saves + 1):
            save(epoch, {})
            started.append(epoch)
    assert started == [1]
