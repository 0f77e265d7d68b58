import logging
import re

import numpy as np
import pytest
import torch

from s10_pipeline.vision.errors import UserError
from s10_pipeline.vision.network.classifier import classifier_to_bytes
from s10_pipeline.vision.training import trainer
from s10_pipeline.vision.training.checkpoints import CheckpointStore
from s10_pipeline.vision.training.engine import train_classifier
from s10_pipeline.vision.training.history import HISTORY_COLUMNS, TIMING_COLUMNS
from s10_pipeline.vision.training.params import PlateauParams
from s10_pipeline.vision.training.trainer import DivergedError


@pytest.fixture
def store(tmp_path):
    return CheckpointStore(tmp_path / "checkpoints")


def test_history_and_timing(data, tiny, store):
    result = train_classifier(data, 0.05, tiny, store)
    history, timing = result.history, result.timing
    assert tuple(history.columns) == HISTORY_COLUMNS
    assert tuple(timing.columns) == TIMING_COLUMNS
    assert history["epoch"].tolist() == timing["epoch"].tolist() == [1, 2]
    assert history["lr"].tolist() == [0.05, 0.05]
    accuracies = history[[c for c in history if "accuracy" in c]].to_numpy()
    assert ((accuracies >= 0) & (accuracies <= 1)).all()
    # ten classes: an untrained network's loss is about ln 10 per image, whatever the batch
    assert history["train_loss"].iloc[0] == pytest.approx(np.log(10), abs=0.6)
    assert timing["images_per_second"].iloc[0] == pytest.approx(360 / timing["epoch_seconds"].iloc[0])
    assert timing["data_wait_fraction"].between(0, 1).all()
    assert not result.model.training


def test_it_learns(data, tiny, store):
    params = tiny.model_copy(update={"epochs": 8, "architecture": tiny.architecture.model_copy(update={"width": 16})})
    history = train_classifier(data, 0.05, params, store).history
    assert history["train_loss"].iloc[-1] < history["train_loss"].iloc[0] - 0.15


def test_one_seed_repeats_and_another_differs(data, tiny, tmp_path):
    params = tiny.model_copy(update={"architecture": tiny.architecture.model_copy(update={"dropout": 0.2})})
    models = [
        classifier_to_bytes(
            train_classifier(data, 0.05, params.model_copy(update=change), CheckpointStore(tmp_path / str(i))).model
        )
        for i, change in enumerate([{"seed": 1}, {"seed": 1, "num_workers": 1}, {"seed": 2}])
    ]
    assert models[0] == models[1]
    assert models[0] != models[2]


@pytest.mark.parametrize("killed_after", [1, 2])
def test_interrupted_and_resumed_equals_uninterrupted(data, tiny, tmp_path, killed_after, monkeypatch):
    # dropout, plateau and momentum all have a state that must survive
    params = tiny.model_copy(
        update={
            "epochs": 4,
            "plateau": PlateauParams(patience=0, threshold=0.5, factor=0.5),
            "architecture": tiny.architecture.model_copy(update={"dropout": 0.2}),
        }
    )
    whole = train_classifier(data, 0.05, params, CheckpointStore(tmp_path / "whole"))
    store = CheckpointStore(tmp_path / "parts")
    plain, calls = trainer.train_epoch, 0

    def killed(*arguments, **options):
        nonlocal calls
        calls += 1
        if calls > killed_after:
            raise KeyboardInterrupt
        return plain(*arguments, **options)

    monkeypatch.setattr(trainer, "train_epoch", killed)
    with pytest.raises(KeyboardInterrupt):
        train_classifier(data, 0.05, params, store)
    monkeypatch.setattr(trainer, "train_epoch", plain)
    resumed = train_classifier(data, 0.05, params, store)
    assert resumed.history.equals(whole.history)
    assert classifier_to_bytes(resumed.model) == classifier_to_bytes(whole.model)
    assert resumed.timing["epoch"].tolist() == [1, 2, 3, 4]


def test_more_epochs_go_on_and_fewer_start_afresh(data, tiny, store, monkeypatch):
    trained: list[int] = []
    plain = trainer.train_epoch
    monkeypatch.setattr(trainer, "train_epoch", lambda *a, **o: (trained.append(o["epoch"]), plain(*a, **o))[1])

    def train(epochs: int, **changes: object) -> list[int]:
        trained.clear()
        result = train_classifier(data, 0.05, tiny.model_copy(update={"epochs": epochs, **changes}), store)
        assert result.history["epoch"].tolist() == list(range(1, epochs + 1))
        store.mark_finished(result.run_key, epochs)
        return list(trained)

    assert train(1) == [1]
    assert train(2) == [2]
    assert train(2) == [1, 2], "a finished training is done again when it is asked for again"
    assert train(1) == [1]
    assert train(1, num_workers=1, keep_checkpoints=5) == [1]
    assert train(1, weight_decay=0.1) == [1]


def test_the_plateau_lowers_the_rate_and_says_so(data, tiny, store, caplog):
    params = tiny.model_copy(update={"epochs": 4, "plateau": PlateauParams(patience=1, threshold=0.99, factor=0.1)})
    with caplog.at_level(logging.INFO):
        history = train_classifier(data, 0.05, params, store).history
    # the first epoch is the best, the second and third are bad: patience 1 drops on the second bad one
    assert history["lr"].tolist() == pytest.approx([0.05, 0.05, 0.05, 0.005])
    assert history["lr_dropped"].tolist() == [False, False, True, False]
    assert sum("learning rate 0.05 -> 0.005" in r.message for r in caplog.records) == 1


def test_warm_up_grows_linearly_and_the_plateau_waits(data, tiny, store):
    params = tiny.model_copy(
        update={"epochs": 3, "warmup_epochs": 2, "plateau": PlateauParams(patience=0, threshold=0.99)}
    )
    history = train_classifier(data, 0.08, params, store).history
    assert history["lr"].tolist() == pytest.approx([0.04, 0.08, 0.08])
    assert history["lr_dropped"].tolist() == [False, False, False]


def test_divergence_keeps_what_was_saved(data, tiny, store):
    params = tiny.model_copy(update={"epochs": 3})
    train_classifier(data, 0.05, tiny.model_copy(update={"epochs": 1}), store)
    with pytest.raises(DivergedError, match=r"at learning rate 1e\+30, in epoch 1, batch"):
        train_classifier(data, 1e30, params, store)
    assert len(list(store.root.glob("*/epoch-00001.pt"))) == 1


def test_divergence_in_warm_up_tells_the_rate_of_then_as_no_parameter(data, tiny, store):
    # the first epoch's six steps warm up; the first batch's loss is that of the fresh network
    params = tiny.model_copy(update={"warmup_epochs": 1})
    with pytest.raises(DivergedError) as caught:
        train_classifier(data, 6e30, params, store)
    message = str(caught.value)
    assert "train.lr=" not in message
    assert "train.lr, or null, which takes the range test's" in message
    assert "\n" not in message
    assert re.search(r"at learning rate [1-6]e\+30, in epoch 1, batch", message)


def test_a_last_step_that_diverges_is_noticed_and_not_kept(data, tiny, store):
    # one batch an epoch: its loss is that of the fresh network, and only the step ruins the weights
    params = tiny.model_copy(update={"batch_size": 360, "epochs": 3})
    with pytest.raises(DivergedError, match=r"epoch 1, batch 1"):
        train_classifier(data, 1e30, params, store)
    assert not list(store.root.glob("*/epoch-*.pt"))


def test_a_short_trial_does_not_cost_a_long_training(data, tiny, store):
    long = tiny.model_copy(update={"epochs": 3})
    whole = train_classifier(data, 0.05, long, store)
    short = train_classifier(data, 0.05, tiny.model_copy(update={"epochs": 1}), store)
    assert len(short.history) == 1
    assert short.run_key != whole.run_key
    assert (store.root / whole.run_key / "epoch-00003.pt").exists()
    assert train_classifier(data, 0.05, long, store).history.equals(whole.history)


def test_deterministic_asks_torch_and_gives_back(data, tiny, store, monkeypatch):
    seen = []
    plain = trainer.train_epoch
    monkeypatch.setattr(
        trainer,
        "train_epoch",
        lambda *a, **o: (seen.append(torch.are_deterministic_algorithms_enabled()), plain(*a, **o))[1],
    )
    for wanted in (True, False):
        train_classifier(data, 0.05, tiny.model_copy(update={"epochs": 1, "deterministic": wanted}), store)
    assert seen == [True, False]
    assert not torch.are_deterministic_algorithms_enabled()


def test_training_leaves_the_global_generator_alone(data, tiny, store):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    train_classifier(data, 0.05, tiny.model_copy(update={"epochs": 1}), store)
    assert torch.equal(before, torch.get_rng_state())


def test_more_epochs_start_afresh_where_the_schedule_depends_on_them_and_say_why(data, tiny, store, caplog):
    params = tiny.model_copy(update={"anneal_epochs": 1})
    train_classifier(data, 0.05, params, store)
    with caplog.at_level(logging.INFO):
        longer = train_classifier(data, 0.05, params.model_copy(update={"epochs": 3}), store)
    assert "training afresh: since the last training, train.epochs 2 -> 3 (train.anneal_epochs makes" in caplog.text
    assert longer.history["lr"].tolist() == pytest.approx([0.05, 0.05, 0.05 / 6])


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("DefaultCPUAllocator: can't allocate memory")]
)
def test_out_of_memory_names_the_batch_size_and_keeps_what_was_saved(data, tiny, store, monkeypatch, error):
    train_classifier(data, 0.05, tiny.model_copy(update={"epochs": 1}), store)

    def full(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(trainer, "train_epoch", full)
    with pytest.raises(UserError, match=r"train.batch_size=64: does not fit into the memory of cpu"):
        train_classifier(data, 0.05, tiny, store)
    assert list(store.root.glob("*/epoch-00001.pt"))


def test_another_error_stays_what_it_is(data, tiny, store, monkeypatch):
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a mistake in the program")

    monkeypatch.setattr(trainer, "train_epoch", broken)
    with pytest.raises(RuntimeError, match="^a mistake in the program$"):
        train_classifier(data, 0.05, tiny, store)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_deterministic_training_repeats_on_cuda(data, tiny, tmp_path):
    params = tiny.model_copy(update={"device": "cuda", "precision": "auto", "deterministic": True})
    models = [train_classifier(data, 0.05, params, CheckpointStore(tmp_path / str(i))).model for i in range(2)]
    assert classifier_to_bytes(models[0]) == classifier_to_bytes(models[1])
