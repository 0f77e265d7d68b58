import pytest
import torch

from s10_pipeline.vision.training.params import ResizingParams, TrainParams
from s10_pipeline.vision.training.resizing import resize_batch, size_in
from s10_pipeline.vision.training.trainer import Trainer


def growing(epochs: int, start: float, of: int = 50) -> TrainParams:
    return TrainParams(epochs=of, resizing=ResizingParams(epochs=epochs, start=start))


def test_images_grow_to_their_whole_size():
    params = growing(8, 0.5)
    assert [size_in(epoch, (32, 32), params)[0] for epoch in range(1, 11)] == [16, 16, 20, 24, 24, 24, 28, 32, 32, 32]
    assert size_in(1, (64, 96), params) == (32, 48)
    assert size_in(1, (30, 31), TrainParams()) == (30, 31)


@pytest.mark.parametrize(("epochs", "first"), [(1, 32), (2, 16), (5, 16)])
def test_the_last_epoch_sees_whole_images(epochs, first):
    params = growing(50, 0.5, of=epochs)
    assert [size_in(epoch, (32, 32), params)[0] for epoch in (1, epochs)] == [first, 32]


def test_no_size_is_too_small_or_too_large():
    params = growing(50, 0.01, of=60)
    sizes = [size_in(epoch, (30, 6), params) for epoch in range(1, 51)]
    assert sizes[0] == (4, 4)
    assert all(height <= 30 and width <= 6 for height, width in sizes)


def test_batches_are_scaled_by_means_of_their_pixels():
    images = torch.zeros(2, 3, 8, 8, dtype=torch.uint8)
    images[:, :, :, 4:] = 200
    small = resize_batch(images, (4, 4))
    assert small.shape == (2, 3, 4, 4)
    assert float(small.mean()) == pytest.approx(100)
    assert small[0, 0, 0].tolist() == sorted(small[0, 0, 0].tolist())
    assert resize_batch(images, (8, 8)) is images


def test_training_sees_the_epochs_size_and_measuring_whole_images(data, tiny):
    seen = {True: [], False: []}
    params = tiny.model_copy(update={"epochs": 3, "resizing": ResizingParams(epochs=2, start=0.5)})
    training = Trainer(data, 0.01, params, torch.device("cpu"))
    training.model.register_forward_pre_hook(lambda model, inputs: seen[model.training].append(inputs[0].shape[2:]))

    for expected in [(16, 16), (24, 24), (32, 32)]:
        training._train_one_epoch(training.loader.epoch(training.epochs_done + 1), lambda *_: None)
        assert set(seen[True]) == {expected}
        seen[True].clear()
    assert set(seen[False]) == {(32, 32)}
