import dataclasses

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch import nn

from s10_pipeline.vision.training.optimizer import build_optimizer, class_weights, training_loss


def test_weight_decay_may_spare_norms_and_biases(classifier, tiny):
    params = tiny.model_copy(update={"decay_norm_and_bias": False, "weight_decay": 0.1})
    groups = build_optimizer(classifier, params, 0.1).param_groups
    assert [group["weight_decay"] for group in groups] == [0.1, 0.0]
    assert all(p.ndim > 1 for p in groups[0]["params"])
    assert sum(len(group["params"]) for group in groups) == len(list(classifier.parameters()))


def test_the_loss_is_computed_in_fp32_and_smoothed():
    logits, labels = torch.tensor([[2.0, 0.0, 0.0]]), torch.tensor([0])
    log_p = logits.log_softmax(1)[0]
    assert training_loss(logits, labels, 0.0).item() == pytest.approx(-log_p[0].item())
    # 0.3 of the weight is spread over all three classes
    smoothed = -(0.7 * log_p[0] + 0.1 * log_p.sum())
    assert training_loss(logits, labels, 0.3).item() == pytest.approx(smoothed.item())
    assert training_loss(logits.bfloat16(), labels, 0.0).dtype == torch.float32


def test_balanced_weights_are_scikit_learns_and_scale_each_images_loss(data, tiny):
    present = data.train_set.indices[data.train_images.labels[data.train_set.indices] != 3][:150]
    some = dataclasses.replace(data.train_set, indices=present)
    balanced = tiny.model_copy(update={"class_weights": "balanced"})
    weights = class_weights(data.train_images, some, balanced, torch.device("cpu"))
    labels = data.train_images.labels[present]
    by_sklearn = compute_class_weight("balanced", classes=np.unique(labels), y=labels)
    assert weights.tolist() == pytest.approx(np.insert(by_sklearn, 3, 0.0), rel=1e-6)
    logits, labels = torch.randn(150, 10), torch.from_numpy(labels)
    for smoothing in (0.0, 0.1):
        each = nn.functional.cross_entropy(logits, labels, label_smoothing=smoothing, reduction="none")
        mean = (weights[labels] * each).mean().item()
        assert training_loss(logits, labels, smoothing, weights).item() == pytest.approx(mean)
    # the two halves of a batch on two processes add up to the whole
    halves = [training_loss(logits[half], labels[half], 0.1, weights) / 2 for half in (slice(75), slice(75, None))]
    assert sum(halves).item() == pytest.approx(training_loss(logits, labels, 0.1, weights).item())
