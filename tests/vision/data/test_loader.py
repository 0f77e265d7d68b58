import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from s10_pipeline.vision.data import loader as module
from s10_pipeline.vision.data.loader import AugmentedImages, EpochBatches, TrainLoader
from s10_pipeline.vision.errors import UserError


def epoch_of(loader: TrainLoader, number: int) -> tuple[np.ndarray, np.ndarray]:
    batches = [(images.numpy().copy(), labels.numpy().copy()) for images, labels in loader.epoch(number)]
    return np.concatenate([b[0] for b in batches]), np.concatenate([b[1] for b in batches])


def test_batches_are_whole_uint8_and_channels_last(shapes, sets):
    images, labels = next(TrainLoader(shapes[0], sets[0], 50, 0).epoch(1))
    assert images.dtype == torch.uint8 and images.shape == (50, 3, 32, 32)
    assert images.is_contiguous(memory_format=torch.channels_last) and labels.dtype == torch.int64


def test_a_transform_to_floats_is_an_error(shapes, sets):
    with pytest.raises(TypeError, match="float32"):
        next(TrainLoader(shapes[0], replace(sets[0], transforms=[{"ToFloat": {"p": 1.0}}]), 50, 0).epoch(1))


@pytest.mark.parametrize(("batch_size", "sizes"), [(359, [360]), (180, [180, 180]), (358, [358, 2]), (120, [120] * 3)])
def test_a_single_last_image_joins_the_batch_before(shapes, sets, batch_size, sizes):
    loader = TrainLoader(shapes[0], sets[0], batch_size, 0)
    assert [len(labels) for _, labels in loader.epoch(1)] == sizes and len(loader) == len(sizes)


def test_large_images_come_in_smaller_batches():
    assert module.cap_batch_size(500, (32, 32)) == 500 and module.cap_batch_size(500, (224, 224)) == 41
    assert module.cap_batch_size(500, (4096, 4096)) == 1


def test_epochs_and_seeds_differ(shapes, sets):
    loader = TrainLoader(shapes[0], sets[0], 50, 0)
    first, second = epoch_of(loader, 1)[1], epoch_of(loader, 2)[1]
    assert first.tolist() != second.tolist() and epoch_of(loader, 1)[1].tolist() == first.tolist()
    assert epoch_of(TrainLoader(shapes[0], sets[0], 50, 1), 1)[1].tolist() != first.tolist()


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # more workers than cores are no matter here
@pytest.mark.parametrize("num_workers", [1, *(pytest.param(n, marks=pytest.mark.slow) for n in (2, 4))])
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


class LosesAMessage(AugmentedImages):
    """Its worker lives on, and the message never comes."""

    def __getitems__(self, batches):
        time.sleep(600)


def test_a_message_that_never_comes_is_not_waited_for_without_an_end(shapes, sets, monkeypatch):
    monkeypatch.setattr(module, "AugmentedImages", LosesAMessage)
    monkeypatch.setattr(module, "MAX_SECONDS_A_MESSAGE", 2)
    with pytest.raises(UserError, match=r"train\.num_workers=1: .*/dev/shm .*--shm-size"):
        next(TrainLoader(shapes[0], sets[0], 50, 0, num_workers=1).epoch(1))


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
