import copy
import logging
from itertools import count

import numpy as np
import pytest
import torch

from s10_pipeline.vision.data.loader import TrainLoader
from s10_pipeline.vision.device import Precision
from s10_pipeline.vision.errors import UserError
from s10_pipeline.vision.lr_search import range_test
from s10_pipeline.vision.lr_search.params import LrSearchParams
from s10_pipeline.vision.lr_search.range_test import COLUMNS, find_learning_rate, run_range_test
from s10_pipeline.vision.lr_search.rate import METHODS
from s10_pipeline.vision.training.params import TrainParams

PARAMS = LrSearchParams(num_iterations=40, start_lr=1e-4, end_lr=1.0)


@pytest.fixture(scope="module")
def tiny(tiny) -> TrainParams:
    """Long enough for two tests of 40 batches; only the range test reads it here."""
    return tiny.model_copy(update={"epochs": 80})


@pytest.fixture(scope="module")
def found(shapes, sets, tiny):
    return find_learning_rate(shapes[0], sets[0], PARAMS, tiny)


def test_rates_grow_exponentially_from_the_loss_of_the_fresh_network(classifier, shapes, sets, tiny, capsys):
    images, labels = next(TrainLoader(shapes[0], sets[0], 64, 0).epoch(0))
    expected = torch.nn.functional.cross_entropy(copy.deepcopy(classifier).train()(images), labels).item()
    torch.manual_seed(7)
    rng = torch.get_rng_state()
    curve = run_range_test(classifier, TrainLoader(shapes[0], sets[0], 64, 0), PARAMS, tiny)
    assert torch.equal(rng, torch.get_rng_state()) and len(curve) == 40
    assert curve["raw_loss"].iloc[0] == pytest.approx(expected, rel=1e-4)
    assert curve["lr"].iloc[0] == pytest.approx(1e-4) and curve["lr"].iloc[-1] == pytest.approx(1.0, rel=0.01)
    ratios = curve["lr"].to_numpy()[1:] / curve["lr"].to_numpy()[:-1]
    assert ratios == pytest.approx(np.full(39, ratios[0])) and np.isfinite(curve["loss"]).all()
    printed = capsys.readouterr()
    assert "Learning rate search finished" not in printed.out + printed.err


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize(
    ("stem", "precision"), [("cifar", "auto"), ("whitened", "auto"), ("imagenet", "auto"), ("cifar", "fp16")]
)
def test_it_repeats_on_cuda(shapes, sets, tiny, stem, precision):
    # wide enough for several blocks of threads, whose order is what changes from run to run
    architecture = tiny.architecture.model_copy(update={"width": 32, "stem": stem, "dropout": 0.1})
    on_gpu = tiny.model_copy(update={"device": "cuda", "precision": precision, "architecture": architecture})
    first, second = (find_learning_rate(shapes[0], sets[0], PARAMS, on_gpu) for _ in range(2))
    assert first[0].equals(second[0]) and first[1] == second[1]


def test_fp16_with_its_scaler_finds_the_rate_of_fp32(shapes, sets, tiny, found, monkeypatch):
    """On a CPU, which the program itself refuses: the same calls as on an older card."""
    monkeypatch.setattr(range_test, "choose_precision", Precision)
    half = tiny.model_copy(update={"precision": "fp16"})
    (a, of_fp32), (b, of_fp16) = found, find_learning_rate(shapes[0], sets[0], PARAMS, half)
    assert b["raw_loss"].to_numpy() == pytest.approx(a["raw_loss"].to_numpy(), rel=0.02)
    assert not b["raw_loss"].equals(a["raw_loss"])
    assert of_fp16["candidates"] == pytest.approx(of_fp32["candidates"], rel=0.5)


@pytest.mark.parametrize("benchmark", [True, False])
def test_divergence_at_once_is_an_error_that_restores_torch_s_global_flags(shapes, sets, tiny, monkeypatch, benchmark):
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", benchmark)
    diverging = LrSearchParams(start_lr=1e6, end_lr=1e9, num_iterations=40)
    with pytest.raises(UserError, match=r"lr_search.start_lr=1e\+06: .*lower start_lr"):
        find_learning_rate(shapes[0], sets[0], diverging, tiny)
    assert not torch.are_deterministic_algorithms_enabled() and torch.backends.cudnn.benchmark is benchmark


def test_all_suggestions_are_given_and_the_method_chooses(found):
    curve, best_lr = found
    assert best_lr["candidates"].keys() == METHODS.keys() and best_lr["lr"] == best_lr["candidates"]["auto"]
    assert best_lr["num_tests"] == 2 and best_lr["unread"] is None
    assert best_lr["method"] == "auto" and best_lr["band"] == sorted(best_lr["band"])
    # each test has a network and batches of its own
    first, second = (test["raw_loss"].to_numpy() for _, test in curve.groupby("run"))
    assert len(first) == len(second) == 40 and not np.isclose(first, second).any()


def test_a_training_too_short_for_a_test_takes_the_cautious_rate(shapes, sets, tiny, monkeypatch, caplog):
    monkeypatch.delattr(range_test, "run_range_test")
    short = tiny.model_copy(update={"epochs": 1, "batch_size": 180})
    with caplog.at_level(logging.INFO):
        curve, best_lr = find_learning_rate(shapes[0], sets[0], PARAMS, short)
    assert curve.empty and tuple(curve.columns) == COLUMNS
    assert best_lr["lr"] == pytest.approx(0.1) and "too short for a range test" in caplog.text
    assert (best_lr["num_tests"], best_lr["candidates"]) == (0, {}) and "too short" in best_lr["unread"]
    always = PARAMS.model_copy(update={"always": True})
    _, best_lr = find_learning_rate(shapes[0], sets[0], always, short.model_copy(update={"lr": 0.05}))
    assert (best_lr["lr"], best_lr["num_tests"]) == (0.05, 0) and "too short" in best_lr["unread"]
    # nor does a test run where the rate is given
    curve, best_lr = find_learning_rate(shapes[0], sets[0], PARAMS, tiny.model_copy(update={"lr": 0.05}))
    assert tuple(curve.columns) == COLUMNS and curve.empty
    assert (best_lr["lr"], best_lr["method"], best_lr["candidates"]) == (0.05, "train.lr", {})
    assert best_lr["num_tests"] == 0 and "train.lr was given" in best_lr["unread"]


def test_nan_stops_the_test_and_is_not_in_the_curve(shapes, sets, tiny, monkeypatch):
    calls, plain = count(1), range_test.training_loss
    monkeypatch.setattr(
        range_test, "training_loss", lambda *arguments: plain(*arguments) * (np.nan if next(calls) == 25 else 1)
    )
    curve, best_lr = find_learning_rate(shapes[0], sets[0], PARAMS, tiny)
    assert curve.groupby("run").size().tolist() == [24, 40] and np.isfinite(curve).all(axis=None)
    assert np.isfinite(best_lr["lr"])


def test_it_repeats_also_beside_a_given_rate_where_it_is_asked_for(shapes, sets, tiny, found, caplog):
    always = PARAMS.model_copy(update={"always": True})
    with caplog.at_level(logging.INFO):
        given = find_learning_rate(shapes[0], sets[0], always, tiny.model_copy(update={"lr": 0.05}))
    assert given[0].equals(found[0]) and given[1] == {**found[1], "parameters": always.model_dump()}
    assert "using train.lr=0.05" in caplog.text


def test_a_given_rate_survives_a_divergence(shapes, sets, tiny, caplog):
    params = LrSearchParams(start_lr=1e6, end_lr=1e9, num_iterations=40, always=True)
    given = tiny.model_copy(update={"lr": 0.05})
    curve, best_lr = find_learning_rate(shapes[0], sets[0], params, given)
    assert (best_lr["lr"], best_lr["method"], best_lr["candidates"]) == (0.05, "train.lr", {})
    assert best_lr["num_tests"] == 2 and "diverged" in best_lr["unread"]
    assert "continuing with the given train.lr=0.05" in caplog.text and (curve.groupby("run").size() < 17).all()


def test_it_trains_a_pretrained_head_alone_and_weights_classes(shapes, sets, tiny, pretrained, monkeypatch):
    before, params = pretrained[0], tiny.model_copy(update={"pretrained": pretrained[1], "class_weights": "balanced"})
    plain_run, plain_loss, models, weights = range_test.run_range_test, range_test.training_loss, [], []
    monkeypatch.setattr(range_test, "run_range_test", lambda *given: models.append(given[0]) or plain_run(*given))
    monkeypatch.setattr(range_test, "training_loss", lambda *given: weights.append(given[3]) or plain_loss(*given))
    find_learning_rate(shapes[0], sets[0], PARAMS, params)
    for model in models:
        changed = {name for name, t in before.state_dict().items() if not torch.equal(t, model.state_dict()[name])}
        assert changed == {"network.head.weight", "network.head.bias"}
    assert len(models) == 2 and all(w.tolist() == pytest.approx([1.0] * 10) for w in weights)
