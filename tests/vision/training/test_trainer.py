import copy

import pytest
import torch
from torch.nn import functional as F

from s10_pipeline.vision.data.loader import TrainLoader
from s10_pipeline.vision.device import choose_precision
from s10_pipeline.vision.distributed.ranks import ProcessGroup
from s10_pipeline.vision.training.optimizer import build_optimizer
from s10_pipeline.vision.training.step import TrainStep
from s10_pipeline.vision.training.trainer import DivergedError, train_epoch

CPU_FP32 = choose_precision("fp32", torch.device("cpu"))


def run_epoch(model, loader, optimizer, label_smoothing=0.0, before=lambda number: None):
    step = TrainStep(model, optimizer, CPU_FP32, label_smoothing)
    return train_epoch(step, loader.epoch(1), epoch=1, train_batch=lambda n, *batch: (before(n), step(*batch)))


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_an_epoch_equals_a_plain_loop_weight_for_weight(classifier, data, tiny, label_smoothing):
    params = tiny.model_copy(update={"nesterov": True, "weight_decay": 1e-2})
    mine, plain = classifier, copy.deepcopy(classifier)
    loader = TrainLoader(data.train_images, data.train_set, 64, 0)
    sums, timing = run_epoch(mine, loader, build_optimizer(mine, params, 0.05), label_smoothing)

    optimizer = torch.optim.SGD(plain.parameters(), lr=0.05, momentum=0.9, nesterov=True, weight_decay=1e-2, fused=True)
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


def test_a_loss_that_is_not_finite_stops_naming_place_and_rate(classifier, data, tiny):
    loader = TrainLoader(data.train_images, data.train_set, 64, 0)
    optimizer = build_optimizer(classifier, tiny, 0.05)

    def explode(number: int) -> None:
        if number == 2:
            with torch.no_grad():
                classifier.network.head.weight.fill_(float("inf"))

    with pytest.raises(DivergedError, match=r"not finite at learning rate 0.05, in epoch 1, batch 3; give"):
        run_epoch(classifier, loader, optimizer, before=explode)
