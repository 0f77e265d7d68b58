import os
import shutil
import sys
import time
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from s10_pipeline.vision.data import loader as module
from s10_pipeline.vision.data.loader import AugmentedImages, EpochBatches, TrainLoader, num_cores
from s10_pipeline.vision.errors import UserError


def epoch_of(loader: TrainLoader, number: int) -> tuple[np.ndarray, np.ndarray]:
    batches = [(images.numpy().copy(), labels.numpy().copy()) for images, labels in loader.epoch(number)]
    return np.concatenate([b[0] for b in batches]), np.concatenate([b[1] for b in batches])


def test_batches_are_whole_uint8_and_channels_last(shapes, sets):
    images, labels = next(TrainLoader(shapes[0], sets[0], 50, 0).epoch(1))
    assert images.dtype == torch.uint8
    assert images.shape == (50, 3, 32, 32)
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert labels.dtype == torch.int64


@pytest.mark.parametrize(("batch_size", "sizes"), [(359, [360]), (180, [180, 180]), (358, [358, 2]), (120, [120] * 3)])
def test_a_single_last_image_joins_the_batch_before(shapes, sets, batch_size, sizes):
    loader = TrainLoader(shapes[0], sets[0], batch_size, 0)
    assert [len(labels) for _, labels in loader.epoch(1)] == sizes
    assert len(loader) == len(sizes)


def test_large_images_come_in_smaller_batches():
    assert module.cap_batch_size(500, (32, 32)) == 500
    assert module.cap_batch_size(500, (224, 224)) == 41
    assert module.cap_batch_size(500, (4096, 4096)) == 1


def test_epochs_and_seeds_differ(shapes, sets):
    loader = TrainLoader(shapes[0], sets[0], 50, 0)
    first, second = epoch_of(loader, 1)[1], epoch_of(loader, 2)[1]
    assert first.tolist() != second.tolist()
    assert epoch_of(loader, 1)[1].tolist() == first.tolist()
    assert epoch_of(TrainLoader(shapes[0], sets[0], 50, 1), 1)[1].tolist() != first.tolist()


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # more workers than cores are no matter here
@pytest.mark.parametrize(
    "num_workers", [1, pytest.param(2, marks=pytest.mark.slow), pytest.param(4, marks=pytest.mark.slow)]
)
def test_workers_change_nothing(shapes, sets, num_workers):
    alone = TrainLoader(shapes[0], sets[0], 50, 3)
    several = TrainLoader(shapes[0], sets[0], 50, 3, num_workers=num_workers)
    # workers live on from epoch to epoch, so the second epoch is the one that could repeat the first
    for number in (1, 2):
        for mine, theirs in zip(epoch_of(alone, number), epoch_of(several, number), strict=True):
            assert (mine == theirs).all()


@pytest.mark.slow
def test_spawned_workers_change_nothing(shapes, sets):
    alone, spawned = TrainLoader(shapes[0], sets[0], 50, 3), TrainLoader(shapes[0], sets[0], 50, 3, num_workers=1)
    spawned.loader.multiprocessing_context = "spawn"
    assert (epoch_of(alone, 1)[0] == epoch_of(spawned, 1)[0]).all()


def test_a_loader_leaves_the_global_generator_alone(shapes, sets):
    before = torch.get_rng_state()
    epoch_of(TrainLoader(shapes[0], sets[0], 50, 3), 1)
    assert torch.equal(before, torch.get_rng_state())


def test_plain_batches_are_the_stored_images_in_order(shapes):
    images, labels = shapes[1].images_nhwc, shapes[1].labels
    batches = list(module.plain_batches(images, labels, np.arange(3, 24), 10))
    assert [len(b[1]) for b in batches] == [10, 10, 1]
    stored = np.concatenate([b[0].permute(0, 2, 3, 1).numpy() for b in batches])
    assert (stored == images[3:24]).all()


@pytest.mark.parametrize(("num_workers", "num_ranks", "fits"), [(1, 1, True), (2, 1, False), (1, 2, False)])
def test_a_small_dev_shm_is_told_before_workers_start(shapes, sets, monkeypatch, num_workers, num_ranks, fits):
    # messages of 10 batches, 204,800 bytes each: 4 of one worker are under way at most
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=9 * 2**20))
    with nullcontext() if fits else pytest.raises(UserError) as refused:
        TrainLoader(shapes[0], sets[0], 64 * num_ranks, 0, num_workers, num_ranks=num_ranks)
    if not fits:
        assert f"train.num_workers={num_workers}: needs 1" in str(refused.value)
        for fact in ("/dev/shm", "9 MB are free", "--shm-size=1g", f"take at most {2 - num_ranks}"):
            assert fact in str(refused.value)


@pytest.mark.skipif(sys.platform == "win32", reason="has no ulimit")
def test_few_open_files_are_told_before_workers_start(shapes, sets, monkeypatch):
    import resource

    monkeypatch.setattr(resource, "getrlimit", lambda _: (32, 32))
    with pytest.raises(UserError, match=r"train\.num_workers=2: needs \d+ open files, ulimit -n is 32; "):
        TrainLoader(shapes[0], sets[0], 50, 0, num_workers=2)


class LosesAMessage(AugmentedImages):
    """Its worker lives on, and the message never comes."""

    def __getitems__(self, batches):
        time.sleep(600)


def test_a_message_that_never_comes_is_not_waited_for_without_an_end(shapes, sets, monkeypatch):
    monkeypatch.setattr(module, "AugmentedImages", LosesAMessage)
    monkeypatch.setattr(module, "MAX_SECONDS_A_MESSAGE", 2)
    with pytest.raises(UserError, match=r"train\.num_workers=1: .*/dev/shm .*--shm-size"):
        next(TrainLoader(shapes[0], sets[0], 50, 0, num_workers=1).epoch(1))


@pytest.mark.parametrize(("cpu_max", "cores"), [("max 100000", 8), ("250000 100000", 2), ("50000 100000", 1)])
def test_the_limit_of_a_container_counts(monkeypatch, tmp_path, cpu_max, cores):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(module, "CGROUP", tmp_path / "cgroup")
    monkeypatch.setattr(module, "CGROUPS", tmp_path)
    (tmp_path / "cgroup").write_text("0::/a/b\n")
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/cpu.max").write_text(f"{cpu_max}\n")
    assert num_cores() == cores


def test_number_of_workers():
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    assert module.resolve_num_workers(3, cpu) == module.resolve_num_workers(3, cuda, num_processes=2) == 3
    assert module.resolve_num_workers("auto", cpu) == 0
    assert module.resolve_num_workers("auto", cuda) >= module.resolve_num_workers("auto", cuda, num_processes=2) >= 1


@pytest.mark.parametrize(("num_ranks", "batch_size"), [(2, 50), (2, 51), (3, 50), (4, 119), (8, 350)])
def test_ranks_share_each_batch_without_loss_or_repetition(sets, num_ranks, batch_size):
    indices = sets[0].indices
    parts = [EpochBatches(indices, batch_size, 5, rank, num_ranks) for rank in range(num_ranks)]
    alone = EpochBatches(indices, batch_size, 5)
    for sampler in (*parts, alone):
        sampler.epoch = 3
    together = [sorted(key for part in batch for key in part) for batch in zip(*parts, strict=True)]
    assert sorted(key for batch in together for key in batch) == [(3, int(index)) for index in indices]
    # the same batches as one process makes, but for a rest too small to be shared
    same = len(together) if len(together) == len(alone) else len(together) - 1
    assert together[:same] == [sorted(batch) for batch in alone][:same]
    for number, batch in enumerate(zip(*parts, strict=True)):
        assert min(len(part) for part in batch) >= 2, "BatchNorm needs two images a rank"
        weights = [sampler.batch_weight(number) for sampler in parts]
        # a mean over ranks of weighted means over parts is the mean over the batch
        size = sum(len(part) for part in batch)
        assert [w * size / num_ranks for w in weights] == pytest.approx([len(part) for part in batch])
    assert alone.batch_weight(0) == 1
