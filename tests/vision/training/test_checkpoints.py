import logging
import multiprocessing
import os
import pickle
import signal
from pathlib import Path

import pytest
import torch

from s10_pipeline.vision.errors import UserError
from s10_pipeline.vision.training.checkpoints import CheckpointStore


def state(epoch: int) -> dict:
    return {"weights": torch.full((3,), float(epoch)), "history": [{"epoch": epoch, "loss": 0.1}]}


@pytest.fixture
def store(tmp_path):
    return CheckpointStore(tmp_path)


def test_the_last_checkpoint_comes_back_and_only_some_stay(store):
    with store.open("key", keep=2) as checkpoints:
        assert checkpoints.last() is None
        for epoch in (1, 2, 3):
            checkpoints.save(epoch, state(epoch))
    with store.open("key", keep=2) as checkpoints:
        epoch, loaded = checkpoints.last()
    assert (epoch, loaded["history"]) == (3, state(3)["history"])
    assert torch.equal(loaded["weights"], state(3)["weights"])
    assert sorted(p.name for p in (store.root / "key").glob("epoch*")) == ["epoch-00002.pt", "epoch-00003.pt"]


def test_a_damaged_or_foreign_checkpoint_is_set_aside(store, caplog):
    with store.open("key", keep=9) as checkpoints:
        for epoch in range(1, 5):
            checkpoints.save(epoch, {"weights": torch.arange(1000.0)})
        flipped, cut, pickled, waiting = (checkpoints.folder / f"epoch-{epoch:05d}.pt" for epoch in range(3, 7))
        content = bytearray(flipped.read_bytes())
        content[content.find(torch.arange(500.0, 510.0).numpy().tobytes())] ^= 1
        flipped.write_bytes(content)
        cut.write_bytes(cut.read_bytes()[:100])
        pickled.write_bytes(pickle.dumps(Path("/")))  # what only pickle could load is never executed
        os.mkfifo(waiting)  # would be waited for
        with caplog.at_level(logging.WARNING):
            assert checkpoints.last()[0] == 2
    assert len(caplog.records) == 3
    unreadable = {path.with_suffix(".unreadable") for path in (flipped, cut, pickled)}
    assert set(checkpoints.folder.glob("*.unreadable")) == unreadable


@pytest.mark.parametrize(
    "error", [RuntimeError("DefaultCPUAllocator: can't allocate memory"), MemoryError(), OSError(5)]
)
def test_checkpoints_stay_if_memory_or_disk_fail(store, monkeypatch, error):
    def fail(*_: object, **__: object) -> None:
        raise error

    with store.open("key", keep=9) as checkpoints:
        for epoch in (1, 2):
            checkpoints.save(epoch, state(epoch))
        monkeypatch.setattr(torch, "load", fail)
        with pytest.raises(UserError, match=r"^checkpoint .*epoch-00002.pt: cannot be read now \(.*; free memory"):
            checkpoints.last()
    assert [epoch for epoch, _ in checkpoints.saved()] == [1, 2]


@pytest.mark.parametrize("place", ["other/epoch-00002.pt", "key/epoch-00001.pt"])
def test_a_checkpoint_of_another_scope_or_epoch_is_not_taken(store, place, caplog):
    for name in ("key", "other"):
        with store.open(name, keep=9) as checkpoints:
            checkpoints.save(1, state(1))
            checkpoints.save(2, state(2))
    target = store.root / "key/epoch-00003.pt"
    target.write_bytes((store.root / place).read_bytes())
    with store.open("key", keep=9) as checkpoints:
        assert checkpoints.last()[0] == 2
    assert "belongs to epoch" in caplog.text
    assert not target.exists()


def test_what_a_killed_owner_left_half_written_goes(store):
    with store.open("key", keep=1) as checkpoints:
        checkpoints.save(1, state(1))
        partial = checkpoints.folder / ".epoch-00002.pt.123.partial"
        partial.write_bytes(b"half")
    with store.open("key", keep=1) as checkpoints:
        assert checkpoints.last()[0] == 1
    assert not partial.exists()


def test_a_full_disk_keeps_the_last_good_checkpoint(store, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with store.open("key", keep=2) as checkpoints:
        for epoch in range(1, 3):
            with monkeypatch.context() as disk:
                disk.setattr(torch, "save", full)
                message = f"of epoch {epoch}: .*No space left.*free space.* from epoch {epoch} on"
                with pytest.raises(UserError, match=message):
                    checkpoints.save(epoch, state(epoch))
            assert checkpoints.last_epoch() == epoch - 1
            checkpoints.save(epoch, state(epoch))
        assert not list(checkpoints.folder.glob(".*partial"))


def own_and_wait(root: Path, ready) -> None:
    with CheckpointStore(root).open("key", keep=1):
        ready.set()
        signal.pause()


def test_a_scope_has_one_owner_until_it_dies(store):
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    owner = context.Process(target=own_and_wait, args=(store.root, ready))
    owner.start()
    try:
        assert ready.wait(60)
        with pytest.raises(UserError, match="another run is training exactly this"), store.open("key", keep=1):
            pass
        with store.open("other", keep=1):
            pass
    finally:
        os.kill(owner.pid, signal.SIGKILL)
        owner.join()
    with store.open("key", keep=1):
        pass


def test_finished_is_remembered_and_cleared(store):
    with store.open("key", keep=1) as checkpoints:
        assert checkpoints.finished_epochs() is None
        checkpoints.save(5, state(5))
        store.mark_finished("key", 5)
        assert checkpoints.finished_epochs() == 5
        checkpoints.clear()
        assert checkpoints.finished_epochs() is None
        assert checkpoints.last() is None


@pytest.mark.parametrize("text", ["[1]", "{", '{"parameters": 3}', '{"parameters": {}}', "null", '{"a": {"b": 1}}'])
def test_a_description_of_another_shape_is_passed_over(store, text):
    (store.root / "key").mkdir()
    (store.root / "key/run_key.json").write_text(text)
    assert store.described() == []
