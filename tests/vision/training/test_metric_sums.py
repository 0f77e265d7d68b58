import pytest
import torch

from s10_pipeline.vision.training.metric_sums import MetricSums


def test_batches_count_by_their_images_and_a_copy_stays():
    sums = MetricSums.zero(torch.device("cpu"))
    first = torch.tensor([[2.0, 1.0], [0.0, 1.0], [0.0, 1.0]])
    sums.add(torch.tensor(0.6), first, torch.tensor([0, 1, 0]))
    before = sums.copy()
    sums.add(torch.tensor(1.0), torch.tensor([[0.0, 1.0]]), torch.tensor([1]))
    assert (sums.mean_loss(), sums.accuracy()) == (pytest.approx((3 * 0.6 + 1) / 4), 3 / 4)
    assert (before.mean_loss(), before.accuracy()) == (pytest.approx(0.6), 2 / 3)


def test_many_small_losses_are_not_lost():
    sums = MetricSums.zero(torch.device("cpu"))
    sums.loss.fill_(2.0**25)  # float32 holds no odd number from here on
    sums.add(torch.tensor(1.0), torch.zeros(1, 2), torch.tensor([0]))
    assert float(sums.loss) == 2.0**25 + 1
