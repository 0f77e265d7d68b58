import pytest
import torch
from torch import nn

from s10_pipeline.vision.training.optimizer import build_optimizer, training_loss


def test_weight_decay_may_spare_norms_and_biases(classifier, tiny):
    params = tiny.model_copy(update={"decay_norm_and_bias": False, "weight_decay": 0.1})
    groups = build_optimizer(classifier, params, 0.1).param_groups
    assert [group["weight_decay"] for group in groups] == [0.1, 0.0]
    assert all(p.ndim > 1 for p in groups[0]["params"])
    assert sum(len(group["params"]) for group in groups) == len(list(classifier.parameters()))


def test_steps_are_those_of_sgd_with_momentum(tiny):
    layer = nn.Linear(1, 1, bias=False)
    nn.init.ones_(layer.weight)
    params = tiny.model_copy(update={"momentum": 0.5, "nesterov": False, "weight_decay": 0.1})
    optimizer = build_optimizer(layer, params, lr=0.2)
    weight, velocity = 1.0, 0.0
    for _ in range(3):
        optimizer.zero_grad()
        layer(torch.full((1, 1), 3.0)).sum().backward()
        optimizer.step()
        velocity = 0.5 * velocity + 3.0 + 0.1 * weight
        weight -= 0.2 * velocity
        assert layer.weight.item() == pytest.approx(weight)


def test_the_loss_is_computed_in_fp32_and_smoothed():
    logits, labels = torch.tensor([[2.0, 0.0, 0.0]]), torch.tensor([0])
    log_p = logits.log_softmax(1)[0]
    assert training_loss(logits, labels, 0.0).item() == pytest.approx(-log_p[0].item())
    # 0.3 of the weight is spread over all three classes
    smoothed = -(0.7 * log_p[0] + 0.1 * log_p.sum())
    assert training_loss(logits, labels, 0.3).item() == pytest.approx(smoothed.item())
    assert training_loss(logits.bfloat16(), labels, 0.0).dtype == torch.float32
