import dataclasses
import logging
import re

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


def test_a_frozen_training_changes_the_head_alone(data, tiny, store, pretrained):
    before, params = pretrained[0], tiny.model_copy(update={"pretrained": pretrained[1], "ema_decay": 0.5})
    model = train_classifier(data, 0.05, params, store).model
    changed = {name for name, t in before.state_dict().items() if not torch.equal(t, model.state_dict()[name])}
    assert changed == {"network.head.weight", "network.head.bias"}
    assert (model.spec.mean, model.spec.std) == (before.spec.mean, before.spec.std)


def test_class_weights_change_the_training_and_leave_its_losses_plain(data, tiny, tmp_path):
    some = data.train_set.indices[data.train_images.labels[data.train_set.indices] != 3]
    unequal = dataclasses.replace(data, train_set=dataclasses.replace(data.train_set, indices=some[:200]))
    # at so low a rate the losses are those of equal networks
    results = [
        train_classifier(unequal, 1e-12, tiny.model_copy(update={"class_weights": w}), CheckpointStore(tmp_path / w))
        for w in ("none", "balanced")
    ]
    plain, weighted = (r.history[["train_loss", "val_loss", "test_loss"]].to_numpy() for r in results)
    assert weighted == pytest.approx(plain, rel=1e-5)
    assert classifier_to_bytes(results[0].model) != classifier_to_bytes(results[1].model)


@pytest.fixture
def kill(monkeypatch):
    """Lets so many epochs of the next training pass, and interrupts it in the one after them."""
    plain = trainer.train_epoch

    def after(num_epochs: int, *arguments) -> None:
        calls = 0

        def killed(*a, **options):
            nonlocal calls
            calls += 1
            if calls > num_epochs:
                raise KeyboardInterrupt
            return plain(*a, **options)

        monkeypatch.setattr(trainer, "train_epoch", killed)
        with pytest.raises(KeyboardInterrupt):
            train_classifier(*arguments)
        monkeypatch.setattr(trainer, "train_epoch", plain)

    return after


@pytest.mark.parametrize("killed_after", [1, 2])
def test_interrupted_and_resumed_equals_uninterrupted(data, tiny, tmp_path, killed_after, kill):
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
    kill(killed_after, data, 0.05, params, store)
    resumed = train_classifier(data, 0.05, params, store)
    assert resumed.history.equals(whole.history)
    assert resumed.margins.equals(whole.margins)
    assert classifier_to_bytes(resumed.model) == classifier_to_bytes(whole.model)
    assert resumed.timing["epoch"].tolist() == [1, 2, 3, 4]


def test_interrupted_it_goes_on_at_the_rate_that_was_found_first(data, tiny, tmp_path, kill, caplog):
    params = tiny.model_copy(update={"epochs": 3, "anneal_epochs": 1})
    whole = train_classifier(data, 0.05, params, CheckpointStore(tmp_path / "whole"))
    store = CheckpointStore(tmp_path / "parts")
    kill(2, data, 0.05, params, store)
    assert epochs_left(data, 0.07, params, store) == range(3, 4)
    with caplog.at_level(logging.INFO):
        resumed = train_classifier(data, 0.07, params, store)
    assert "learning rate 0.05; the range test now finds 0.07" in caplog.text
    assert resumed.lr == 0.05
    assert resumed.run_key == whole.run_key
    assert resumed.history.equals(whole.history)
    assert classifier_to_bytes(resumed.model) == classifier_to_bytes(whole.model)


def test_a_rate_far_from_the_one_found_first_starts_afresh(data, tiny, store, kill):
    kill(1, data, 0.05, tiny, store)
    assert train_classifier(data, 0.01, tiny, store).lr == 0.01


def test_its_own_interrupted_training_comes_before_another_rate_s(data, tiny, store, kill):
    params = tiny.model_copy(update={"epochs": 3})
    kill(1, data, 0.07, params.model_copy(update={"lr": 0.07}), store)
    kill(2, data, 0.05, params, store)
    assert train_classifier(data, 0.07, params, store).lr == 0.07


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ({}, {"lr": 0.07}),
        ({"lr": 0.05}, {}),
        ({}, {"weight_decay": 0.1}),
        ({}, {"seed": 1}),
        ({}, {"epochs": 1}),
    ],
    ids=["a given rate", "after a given rate", "another decay", "another seed", "fewer epochs than are done"],
)
def test_another_rate_starts_afresh_where_the_user_set_it_or_more_differs(data, tiny, store, kill, first, then):
    params = tiny.model_copy(update={"epochs": 3})
    kill(2, data, 0.05, params.model_copy(update=first), store)
    assert train_classifier(data, 0.07, params.model_copy(update=then), store).lr == 0.07


def test_a_finished_training_is_not_taken_up_unless_it_was_made_longer(data, tiny, store, kill):
    params = tiny.model_copy(update={"epochs": 1})
    store.mark_finished(train_classifier(data, 0.05, params, store).run_key, 1)
    newer = train_classifier(data, 0.07, params, store)
    assert newer.lr == 0.07
    longer = params.model_copy(update={"epochs": 3})
    kill(1, data, 0.05, longer, store)
    store.mark_finished(newer.run_key, 1)
    assert train_classifier(data, 0.06, longer, store).lr == 0.05


def test_an_interrupted_short_trial_is_no_interruption_of_the_long_training(data, tiny, store, kill):
    long = tiny.model_copy(update={"epochs": 3})
    store.mark_finished(train_classifier(data, 0.05, long, store).run_key, 3)
    kill(1, data, 0.05, tiny, store)
    assert train_classifier(data, 0.06, long, store).lr == 0.06
    assert epochs_left(data, 0.06, tiny, store) == range(2, 3), "the short trial resumes itself"


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


def test_divergence_keeps_what_was_saved(data, tiny, store):
    params = tiny.model_copy(update={"epochs": 3})
    train_classifier(data, 0.05, tiny.model_copy(update={"epochs": 1}), store)
    with pytest.raises(DivergedError, match=r"at learning rate 1e\+30, in epoch 1, batch"):
        train_classifier(data, 1e30, params.model_copy(update={"lr": 1e30}), store)
    assert len(list(store.root.glob("*/epoch-00001.pt"))) == 1


def test_divergence_in_warm_up_tells_the_rate_of_then_as_no_parameter(data, tiny, store):
    # the first epoch's six steps warm up; the first batch's loss is that of the fresh network
    params = tiny.model_copy(update={"warmup_epochs": 1})
    with pytest.raises(DivergedError) as caught:
        train_classifier(data, 6e30, params, store)
    message = str(caught.value)
    assert "train.lr=" not in message
    assert "train.lr, or null" in message
    assert "\n" not in message
    assert re.search(r"at learning rate [1-6]e\+30, in epoch 1, batch", message)


def test_a_last_step_that_diverges_is_noticed_and_not_kept(data, tiny, store):
    # one batch an epoch: its loss is that of the fresh network, and only the step ruins the weights
    params = tiny.model_copy(update={"batch_size": 360, "epochs": 3})
    with pytest.raises(DivergedError, match=r"epoch 1, batch 1"):
        train_classifier(data, 1e30, params, store)
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
def test_a_checkpoint_of_another_shape_is_one_line_and_stays(data, tiny, store, change):
    key = train_classifier(data, 0.05, tiny.model_copy(update={"epochs": 1}), store).run_key
    checkpoints = RunCheckpoints(store.root / key)
    checkpoints.save(1, change(checkpoints.last()[1]))
    with pytest.raises(UserError, match=r"^checkpoint of epoch 1 in .*; remove its file") as caught:
        train_classifier(data, 0.05, tiny, store)
    assert "\n" not in str(caught.value)
    assert [epoch for epoch, _ in checkpoints.saved()] == [1]


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
    (told,) = (message for message in caplog.messages if message.startswith("training from scratch (epoch 1)"))
    assert "train.epochs 2 -> 3" in told
    assert "train.anneal_epochs" in told
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


def test_fp16_with_its_scaler_trains_as_fp32_and_resumes(data, tiny, tmp_path, monkeypatch):
    """On a CPU, which the program itself refuses: the same calls as on an older card."""
    for module in (engine, trainer):
        monkeypatch.setattr(module, "choose_precision", Precision)
    half = tiny.model_copy(update={"precision": "fp16"})
    plain, whole = (train_classifier(data, 0.05, p, CheckpointStore(tmp_path / p.precision)) for p in (tiny, half))
    assert whole.precision == "fp16"
    assert whole.history["train_loss"].to_numpy() == pytest.approx(plain.history["train_loss"].to_numpy(), rel=0.01)
    store = CheckpointStore(tmp_path / "parts")
    train_classifier(data, 0.05, half.model_copy(update={"epochs": 1}), store)
    resumed = train_classifier(data, 0.05, half, store)
    assert resumed.history.equals(whole.history)
    assert classifier_to_bytes(resumed.model) == classifier_to_bytes(whole.model)
    scalers = [RunCheckpoints(tmp_path / n / whole.run_key).last()[1]["scaler"] for n in ("fp16", "parts")]
    assert scalers[0] == scalers[1]
    assert scalers[0]["_growth_tracker"] == 2 * 6, "of as many steps without infinite gradients"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("precision", ["auto", "fp16"])
def test_deterministic_training_repeats_on_cuda(data, tiny, tmp_path, precision):
    params = tiny.model_copy(update={"device": "cuda", "precision": precision, "deterministic": True})
    first, second = (train_classifier(data, 0.05, params, CheckpointStore(tmp_path / str(i))) for i in range(2))
    assert precision in ("auto", first.precision)
    assert first.history["train_loss"].iloc[-1] < first.history["train_loss"].iloc[0]
    assert classifier_to_bytes(first.model) == classifier_to_bytes(second.model)
