import dataclasses
import logging
from unittest.mock import Mock

import numpy as np
import pytest
import torch

from s10_pipeline.vision.device import Precision
from s10_pipeline.vision.errors import UserError
from s10_pipeline.vision.network.classifier import classifier_to_bytes
from s10_pipeline.vision.training import engine, trainer
from s10_pipeline.vision.training.checkpoints import CheckpointStore, RunCheckpoints
from s10_pipeline.vision.training.engine import epochs_left, train_classifier
from s10_pipeline.vision.training.history import HISTORY_COLUMNS, TIMING_COLUMNS
from s10_pipeline.vision.training.params import PlateauParams
from s10_pipeline.vision.training.trainer import DivergedError, train_epoch


@pytest.fixture
def store(tmp_path):
    return CheckpointStore(tmp_path / "checkpoints")


@pytest.fixture
def train(data, tiny, tmp_path, store):
    """Trains with parameters that are changed so."""

    def trained(rate: float = 0.05, at: str = store.root.name, of=data, **changes):
        return train_classifier(of, rate, tiny.model_copy(update=changes), CheckpointStore(tmp_path / at))

    return trained


def test_history_and_timing(train):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    result = train()
    assert torch.equal(before, torch.get_rng_state())
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


def test_one_seed_repeats_and_another_differs(train, tiny):
    architecture = tiny.architecture.model_copy(update={"dropout": 0.2})
    changes = {"seed": 1}, {"seed": 1, "num_workers": 1}, {"seed": 2}
    results = (train(at=str(i), architecture=architecture, **change) for i, change in enumerate(changes))
    first, again, other = (classifier_to_bytes(result.model) for result in results)
    assert first == again != other


def test_a_frozen_training_changes_the_head_alone(train, pretrained):
    before, model = pretrained[0], train(pretrained=pretrained[1], ema_decay=0.5).model
    changed = {name for name, t in before.state_dict().items() if not torch.equal(t, model.state_dict()[name])}
    assert changed == {"network.head.weight", "network.head.bias"}
    assert (model.spec.mean, model.spec.std) == (before.spec.mean, before.spec.std)


def test_class_weights_change_the_training_and_leave_its_losses_plain(data, train):
    some = data.train_set.indices[data.train_images.labels[data.train_set.indices] != 3]
    unequal = dataclasses.replace(data, train_set=dataclasses.replace(data.train_set, indices=some[:200]))
    # at so low a rate the losses are those of equal networks
    results = [train(1e-12, at=weights, of=unequal, class_weights=weights) for weights in ("none", "balanced")]
    plain, weighted = (r.history[["train_loss", "val_loss", "test_loss"]].to_numpy() for r in results)
    assert weighted == pytest.approx(plain, rel=1e-5)
    assert classifier_to_bytes(results[0].model) != classifier_to_bytes(results[1].model)


@pytest.fixture
def kill(train, monkeypatch):
    """Lets so many epochs of the next training pass, and interrupts it in the one after them."""

    def after(num_epochs: int, rate: float = 0.05, **how) -> None:
        calls = iter(range(num_epochs))

        def killed(*arguments, **options):
            if next(calls, None) is None:
                raise KeyboardInterrupt
            return train_epoch(*arguments, **options)

        monkeypatch.setattr(trainer, "train_epoch", killed)
        with pytest.raises(KeyboardInterrupt):
            train(rate, **how)
        monkeypatch.setattr(trainer, "train_epoch", train_epoch)

    return after


@pytest.mark.parametrize("killed_after", [1, 2])
def test_interrupted_and_resumed_equals_uninterrupted(train, tiny, killed_after, kill):
    # dropout, plateau and momentum all have a state that must survive
    plateau = PlateauParams(patience=0, threshold=0.5, factor=0.5)
    architecture = tiny.architecture.model_copy(update={"dropout": 0.2})
    params = {"epochs": 4, "plateau": plateau, "architecture": architecture}
    whole = train(at="whole", **params)
    kill(killed_after, **params)
    resumed = train(**params)
    assert resumed.history.equals(whole.history)
    assert resumed.margins.equals(whole.margins)
    assert classifier_to_bytes(resumed.model) == classifier_to_bytes(whole.model)
    assert resumed.timing["epoch"].tolist() == [1, 2, 3, 4]


def test_interrupted_it_goes_on_at_the_rate_that_was_found_first(data, tiny, store, train, kill, caplog):
    params = {"epochs": 3, "anneal_epochs": 1}
    whole = train(at="whole", **params)
    kill(2, **params)
    assert epochs_left(data, 0.07, tiny.model_copy(update=params), store) == range(3, 4)
    with caplog.at_level(logging.INFO):
        resumed = train(0.07, **params)
    assert "learning rate 0.05; the range test now finds 0.07" in caplog.text
    assert (resumed.lr, resumed.run_key) == (0.05, whole.run_key)
    assert resumed.history.equals(whole.history)
    assert classifier_to_bytes(resumed.model) == classifier_to_bytes(whole.model)


def test_a_rate_far_from_the_one_found_first_starts_afresh(train, kill):
    kill(1)
    assert train(0.01).lr == 0.01


def test_its_own_interrupted_training_comes_before_another_rate_s(train, kill):
    kill(1, 0.07, epochs=3, lr=0.07)
    kill(2, epochs=3)
    assert train(0.07, epochs=3).lr == 0.07


@pytest.mark.parametrize(
    ("first", "then"),
    [({}, {"lr": 0.07}), ({"lr": 0.05}, {}), ({}, {"weight_decay": 0.1}), ({}, {"seed": 1}), ({}, {"epochs": 1})],
    ids=["a given rate", "after a given rate", "another decay", "another seed", "fewer epochs than are done"],
)
def test_another_rate_starts_afresh_where_the_user_set_it_or_more_differs(train, kill, first, then):
    kill(2, epochs=3, **first)
    assert train(0.07, **{"epochs": 3, **then}).lr == 0.07


def test_a_finished_training_is_not_taken_up_unless_it_was_made_longer(store, train, kill):
    store.mark_finished(train(epochs=1).run_key, 1)
    newer = train(0.07, epochs=1)
    assert newer.lr == 0.07
    kill(1, epochs=3)
    store.mark_finished(newer.run_key, 1)
    assert train(0.06, epochs=3).lr == 0.05


def test_an_interrupted_short_trial_is_no_interruption_of_the_long_training(data, tiny, store, train, kill):
    store.mark_finished(train(epochs=3).run_key, 3)
    kill(1)
    assert train(0.06, epochs=3).lr == 0.06
    assert epochs_left(data, 0.06, tiny, store) == range(2, 3), "the short trial resumes itself"


def test_more_epochs_go_on_and_fewer_start_afresh(store, train, monkeypatch):
    def trained(epochs: int, **changes: object) -> list[int]:
        monkeypatch.setattr(trainer, "train_epoch", spy := Mock(wraps=train_epoch))
        result = train(epochs=epochs, **changes)
        assert result.history["epoch"].tolist() == list(range(1, epochs + 1))
        store.mark_finished(result.run_key, epochs)
        return [call.kwargs["epoch"] for call in spy.mock_calls]

    assert trained(1) == [1]
    assert trained(2) == [2]
    assert trained(2) == [1, 2], "a finished training is done again when it is asked for again"
    assert trained(1) == [1]
    assert trained(1, num_workers=1, keep_checkpoints=5) == [1]
    assert trained(1, weight_decay=0.1) == [1]


def test_the_plateau_lowers_the_rate_and_says_so(train, caplog):
    with caplog.at_level(logging.INFO):
        history = train(epochs=4, plateau=PlateauParams(patience=1, threshold=0.99, factor=0.1)).history
    # the first epoch is the best, the second and third are bad: patience 1 drops on the second bad one
    assert history["lr"].tolist() == pytest.approx([0.05, 0.05, 0.05, 0.005])
    assert history["lr_dropped"].tolist() == [False, False, True, False]
    assert sum("learning rate 0.05 -> 0.005" in message for message in caplog.messages) == 1


def test_divergence_in_warm_up_tells_the_rate_of_then_as_no_parameter_and_keeps_what_was_saved(store, train):
    train(epochs=1)
    # the first epoch's six steps warm up; the first batch's loss is that of the fresh network
    message = r"at learning rate [1-6]e\+30, in epoch 1, batch .*train.lr, or null"
    with pytest.raises(DivergedError, match=message) as caught:
        train(6e30, warmup_epochs=1)
    assert "train.lr=" not in str(caught.value) and "\n" not in str(caught.value)
    assert len(list(store.root.glob("*/epoch-00001.pt"))) == 1


def test_a_last_step_that_diverges_is_noticed_and_not_kept(store, train):
    # one batch an epoch: its loss is that of the fresh network, and only the step ruins the weights
    with pytest.raises(DivergedError, match=r"at learning rate 1e\+30, in epoch 1, batch 1;"):
        train(1e30, batch_size=360, epochs=3)
    assert not list(store.root.glob("*/epoch-*.pt"))


def widened(state: dict) -> dict:
    """The same with momentum of another shape."""
    buffers = {i: {"momentum_buffer": torch.ones(7)} for i in state["optimizer"]["state"]}
    return {**state, "optimizer": {**state["optimizer"], "state": buffers}}


@pytest.mark.parametrize(
    "change",
    [
        lambda state: {**state, "model": {k: torch.cat([t.reshape(-1)] * 2) for k, t in state["model"].items()}},
        lambda state: {**state, "model": [*state["model"].values()]},
        lambda state: {key: state[key] for key in state if key != "optimizer"},
        lambda state: {**state, "history": [{"epoch": 1}]},
        lambda state: {**state, "timing": state["timing"] * 2},
        lambda state: {**state, "margins": {name: sums[:1] for name, sums in state["margins"].items()}},
        lambda state: {**state, "history": "none"},
        lambda state: {**state, "schedule": {"plateau": 3}},
        widened,
        lambda state: [*state.values()],
        lambda state: None,
    ],
)
def test_a_checkpoint_of_another_shape_is_one_line_and_stays(store, train, change):
    checkpoints = RunCheckpoints(store.root / train(epochs=1).run_key)
    checkpoints.save(1, change(checkpoints.last()[1]))
    with pytest.raises(UserError, match=r"^checkpoint of epoch 1 in .*; remove its file") as caught:
        train()
    assert "\n" not in str(caught.value)
    assert [epoch for epoch, _ in checkpoints.saved()] == [1]


def test_a_short_trial_does_not_cost_a_long_training(store, train):
    whole, short = train(epochs=3), train(epochs=1)
    assert len(short.history) == 1
    assert short.run_key != whole.run_key
    assert (store.root / whole.run_key / "epoch-00003.pt").exists()
    assert train(epochs=3).history.equals(whole.history)


@pytest.mark.parametrize("wanted", [True, False])
def test_deterministic_asks_torch_and_gives_back(train, monkeypatch, wanted):
    seen = []

    def watched(*arguments, **options):
        seen.append(torch.are_deterministic_algorithms_enabled())
        return train_epoch(*arguments, **options)

    monkeypatch.setattr(trainer, "train_epoch", watched)
    train(epochs=1, deterministic=wanted)
    assert (seen, torch.are_deterministic_algorithms_enabled()) == ([wanted], False)


def test_more_epochs_start_afresh_where_the_schedule_depends_on_them_and_say_why(train, caplog):
    train(anneal_epochs=1)
    with caplog.at_level(logging.INFO):
        longer = train(anneal_epochs=1, epochs=3)
    (told,) = (message for message in caplog.messages if message.startswith("training from scratch (epoch 1)"))
    assert "train.epochs 2 -> 3" in told and "train.anneal_epochs" in told
    assert longer.history["lr"].tolist() == pytest.approx([0.05, 0.05, 0.05 / 6])


FULL = r"train.batch_size=64: does not fit into the memory of cpu"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), (UserError, FULL)),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), (UserError, FULL)),
        (RuntimeError("a mistake in the program"), (RuntimeError, "^a mistake in the program$")),
    ],
)
def test_out_of_memory_names_the_batch_size_and_keeps_what_was_saved(store, train, monkeypatch, error, told):
    train(epochs=1)
    monkeypatch.setattr(trainer, "train_epoch", Mock(side_effect=error))
    with pytest.raises(told[0], match=told[1]):
        train()
    assert list(store.root.glob("*/epoch-00001.pt"))


def test_fp16_with_its_scaler_trains_as_fp32_and_resumes(train, tmp_path, monkeypatch):
    """On a CPU, which the program itself refuses: the same calls as on an older card."""
    for module in (engine, trainer):
        monkeypatch.setattr(module, "choose_precision", Precision)
    plain, whole = train(), train(at="fp16", precision="fp16")
    assert whole.precision == "fp16"
    assert whole.history["train_loss"].to_numpy() == pytest.approx(plain.history["train_loss"].to_numpy(), rel=0.01)
    train(at="parts", precision="fp16", epochs=1)
    resumed = train(at="parts", precision="fp16")
    assert resumed.history.equals(whole.history)
    assert classifier_to_bytes(resumed.model) == classifier_to_bytes(whole.model)
    scalers = [RunCheckpoints(tmp_path / n / whole.run_key).last()[1]["scaler"] for n in ("fp16", "parts")]
    assert scalers[0] == scalers[1]
    assert scalers[0]["_growth_tracker"] == 2 * 6, "of as many steps without infinite gradients"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("precision", ["auto", "fp16"])
def test_deterministic_training_repeats_on_cuda(train, precision):
    first, second = (train(at=str(i), device="cuda", precision=precision, deterministic=True) for i in range(2))
    assert precision in ("auto", first.precision)
    assert first.history["train_loss"].iloc[-1] < first.history["train_loss"].iloc[0]
    assert classifier_to_bytes(first.model) == classifier_to_bytes(second.model)
