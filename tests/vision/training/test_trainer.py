import copy

import pytest
import torch
from torch.nn import functional as F

from s10_pipeline.vision.data.loader import TrainLoader
from s10_pipeline.vision.device import choose_precision
from s10_pipeline.vision.distributed.ranks import ProcessGroup
from s10_pipeline.vision.training.optimizer import build_optimizer
from s10_pipeline.vision.training.step import TrainStep
from s10_pipeline.vision.training.trainer import train_epoch

CPU_FP32 = choose_precision("fp32", torch.device("cpu"))


@pytest.mark.parametrize(("label_smoothing", "nesterov"), [(0.0, True), (0.1, False)])
def test_an_epoch_equals_a_plain_loop_weight_for_weight(classifier, data, tiny, label_smoothing, nesterov):
    hyper = {"momentum": 0.8, "nesterov": nesterov, "weight_decay": 1e-2}
    params = tiny.model_copy(update=hyper)
    mine, plain = classifier, copy.deepcopy(classifier)
    loader = TrainLoader(data.train_images, data.train_set, 64, 0)
    step = TrainStep(mine, build_optimizer(mine, params, 0.05), CPU_FP32, label_smoothing)
    sums, timing = train_epoch(step, loader.epoch(1), epoch=1)

    optimizer = torch.optim.SGD(plain.parameters(), lr=0.05, fused=True, **hyper)
    plain.train()
    losses, correct = [], 0
    for images, labels in loader.epoch(1):
        logits = plain(images)
        losses += F.cross_entropy(logits, labels, reduction="none").tolist()
        correct += int((logits.argmax(1) == labels).sum())
        optimizer.zero_grad()
        F.cross_entropy(logits, labels, label_smoothing=label_smoothing).backward()
        optimizer.step()

    for name, value in mine.state_dict().items():
        assert torch.equal(value, plain.state_dict()[name]), name
    assert int(sums.num_images) == len(losses) == 360
    assert sums.mean_loss() == pytest.approx(sum(losses) / 360, rel=1e-5)
    assert sums.accuracy() == correct / 360
    assert 0 <= timing.waiting_seconds < timing.seconds


def test_dropout_differs_by_rank_seed_and_epoch():
    drawn = set()
    with torch.random.fork_rng():
        for rank, seed, epoch in ((0, 0, 1), (1, 0, 1), (0, 4096, 1), (0, 1, 1), (0, 0, 2), (0, 2**32 - 1, 1)):
            ProcessGroup(rank, 2).seed_dropout(seed, epoch)
            drawn.add(tuple(torch.rand(4).tolist()))
    assert len(drawn) == 6
