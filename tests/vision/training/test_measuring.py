import copy

import pytest
import torch

from s10_pipeline.vision.data.loader import plain_batches
from s10_pipeline.vision.device import choose_precision
from s10_pipeline.vision.training import measuring
from s10_pipeline.vision.training.measuring import MeasuredImages, measure

CPU_FP32 = choose_precision("fp32", torch.device("cpu"))


def test_measuring_sums_over_batches_of_any_size_and_leaves_the_model_alone(classifier, data):
    images, before = data.test_images, copy.deepcopy(classifier.state_dict())
    classifier.train()
    (one, margins), (several, same_margins) = (
        measure(classifier, plain_batches(images.images_nhwc, images.labels, data.test_set.indices, size), CPU_FP32)
        for size in (120, 7)
    )
    assert classifier.training
    assert all(torch.equal(value, before[name]) for name, value in classifier.state_dict().items())
    assert int(one.num_images) == int(several.num_images) == 120
    assert one.mean_loss() == pytest.approx(several.mean_loss(), rel=1e-5)
    assert one.accuracy() == several.accuracy()
    assert margins == pytest.approx(same_margins, abs=1e-5)
    assert (margins > 0).float().mean() == pytest.approx(one.accuracy())


def test_each_chosen_image_comes_once_and_in_order(data, monkeypatch):
    monkeypatch.setattr(measuring, "BATCH_SIZE", 15)
    indices = data.val_set.indices
    measured = MeasuredImages(data.train_images, indices, torch.device("cpu"))
    for _ in range(2):  # an epoch each
        images, labels = zip(*measured, strict=True)
        assert [len(batch) for batch in images] == [15, 15, 10]
        pixels = torch.cat(images).permute(0, 2, 3, 1).numpy()
        assert (pixels == data.train_images.images_nhwc[indices]).all()
        assert torch.cat(labels).tolist() == data.train_images.labels[indices].tolist()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_cuda_images_stay_where_they_fit(data, monkeypatch):
    for share, same in ((1 / 8, True), (0.0, False)):
        monkeypatch.setattr(measuring, "MAX_SHARE_OF_MEMORY", share)
        measured = MeasuredImages(data.train_images, data.val_set.indices, torch.device("cuda"))
        (first, _), (second, _) = next(iter(measured)), next(iter(measured))
        assert first.is_cuda is same
        assert (first.data_ptr() == second.data_ptr()) is same
        assert torch.equal(first, second)
