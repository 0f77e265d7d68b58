import pytest
import torch

from s10_pipeline.vision.training.params import PlateauParams, ResizingParams, TrainParams
from s10_pipeline.vision.training.schedule import SCHEDULES, Schedule, describe_schedule

STEPS = 4


def schedule(**params) -> Schedule:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.8)
    validated = TrainParams.model_validate(params)
    return SCHEDULES[validated.schedule](optimizer, 0.8, validated, STEPS)


def history(losses: list[float], **params) -> tuple[list[dict[str, object]], TrainParams]:
    """Rows of a training with these validation losses, as far as the schedule writes them; its parameters."""
    acting, rows = schedule(epochs=len(losses), **params), []
    for epoch, loss in enumerate(losses, start=1):
        for step in range(STEPS):
            lr = acting.before_step(epoch, step)
        rows.append({"epoch": epoch, "lr": lr, **acting.after_epoch(epoch, loss)})
    return rows, acting._params


def rates(schedule: Schedule, epochs: range) -> list[list[float]]:
    """The rate of each step, by epoch."""
    seen = []
    for epoch in epochs:
        seen.append([(schedule.before_step(epoch, step), schedule.lr)[1] for step in range(STEPS)])
        schedule.after_epoch(epoch, 1.0)
    return seen


def test_warm_up_then_constant_then_a_fall_to_zero():
    seen = rates(schedule(epochs=5, warmup_epochs=1, anneal_epochs=2), range(1, 6))
    assert seen[0] == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert seen[1] == seen[2] == [0.8] * 4
    assert seen[3] + seen[4] == pytest.approx([0.8 - 0.1 * i for i in range(8)])


def test_annealing_starts_from_where_the_plateau_left_the_rate():
    plateau = PlateauParams(patience=0, factor=0.5, threshold=0.5)
    seen = rates(schedule(epochs=4, anneal_epochs=1, plateau=plateau), range(1, 5))
    # the first epoch is the best, each further one is a bad one
    assert [epoch[0] for epoch in seen] == pytest.approx([0.8, 0.8, 0.4, 0.2])
    assert seen[3] == pytest.approx([0.2, 0.15, 0.1, 0.05])


def test_the_plateau_has_no_say_while_annealing():
    rows, _ = history([1.0, 1.0], anneal_epochs=2, plateau=PlateauParams(patience=0, threshold=0.5))
    assert [row["drop_reason"] for row in rows] == ["anneal", "anneal"]
    assert all(row["lr_after"] == row["lr"] for row in rows)


def test_reasons_of_drops_known_by_hand():
    # warm-up ends after epoch 1; the best loss is 1.0 in epoch 2; 3 and 4 are not 5 % better; 5 is; 6 and 7 are not
    plateau = PlateauParams(factor=0.5, patience=1, threshold=0.05)
    rows, params = history([2.0, 1.0, 0.98, 0.97, 0.5, 0.6, 0.49], warmup_epochs=1, plateau=plateau)
    assert [row["drop_reason"] for row in rows] == ["", "", "", "plateau", "", "", "plateau"]
    assert [row["lr_after"] for row in rows] == pytest.approx([0.8] * 3 + [0.4] * 3 + [0.2])
    assert [row["best_val_loss"] for row in rows] == [None, 1.0, 1.0, 1.0, 0.5, 0.5, 0.5]
    told = describe_schedule(rows, params)
    assert told["decided_by"] == ["validation loss"]
    # no epoch was trained at 0.2
    assert [(drop["epoch"], drop["lr"], drop["lr_after"]) for drop in told["drops"]] == [(4, 0.8, 0.4)]
    assert told["drops"][0]["sentence"] == "for 2 epochs, the validation loss did not fall 5% below its best, 1"


@pytest.mark.parametrize(("min_lr", "lr_after"), [(0.0, 0.4), (0.6, 0.6)])
def test_the_rate_that_the_plateau_set_is_kept_where_annealing_begins_at_once(min_lr, lr_after):
    plateau = PlateauParams(factor=0.5, patience=0, threshold=0.5, min_lr=min_lr)
    rows, params = history([1.0, 1.0, 1.0], anneal_epochs=1, plateau=plateau)
    assert rows[1]["lr_after"] == lr_after
    told = describe_schedule(rows, params)
    assert told["decided_by"] == ["validation loss", "annealing"]
    assert [drop["epoch"] for drop in told["drops"]] == [2]
    assert len(told["falls"]) == 1
    assert "epoch 3" in told["falls"][0]


@pytest.mark.parametrize("cooldown", [0, 2])
def test_cooldown_delays_the_next_drop(cooldown):
    plateau = PlateauParams(patience=0, threshold=0.5, factor=0.5, cooldown=cooldown)
    rows, params = history([1.0] * 7, plateau=plateau)
    after = [drop["epoch"] for drop in describe_schedule(rows, params)["drops"]]
    assert after == ([2, 3, 4, 5, 6] if cooldown == 0 else [2, 5])


def test_a_training_that_ends_in_its_warm_up_was_decided_by_nothing():
    rows, params = history([1.0, 1.0], warmup_epochs=2)
    told = describe_schedule(rows, params)
    assert (told["decided_by"], told["drops"], told["falls"]) == ([], [], [])
    assert "first 2 epochs" in told["warmup"]


@pytest.mark.parametrize("name", SCHEDULES)
def test_every_schedule_tells_what_it_did(name):
    """A schedule that is added must describe itself, and go on from its state."""
    plateau = PlateauParams(patience=0, threshold=0.5)
    rows, validated = history([1.0] * 6, schedule=name, plateau=plateau, warmup_epochs=1)
    assert rows[0]["lr"] == 0.8, "the schedule begins at the full rate, which warm-up ends at"
    assert any(row["lr_after"] < 0.8 for row in rows), "the rate never fell"
    assert {row["drop_reason"] for row in rows} <= {"", name}
    told = describe_schedule(rows, validated)
    assert told["decided_by"] == [SCHEDULES[name].decided_by]
    sentences = [*told["falls"], *(drop["sentence"] for drop in told["drops"])]
    assert sentences and all(sentences)
    assert all(0 <= row["lr"] <= 0.8 for row in rows)
    longer, _ = history([1.0] * 9, schedule=name, plateau=plateau, warmup_epochs=1)
    told = "a longer training goes on from a shorter one"
    assert [row["lr"] for row in longer[:6]] == [row["lr"] for row in rows], told


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("stop", range(1, 6))
def test_it_goes_on_from_its_state(stop, name):
    plateau = PlateauParams(patience=0, threshold=0.5)
    params = {"schedule": name, "epochs": 6, "warmup_epochs": 1, "anneal_epochs": 3, "plateau": plateau}
    whole = rates(schedule(**params), range(1, 7))
    first, second = schedule(**params), schedule(**params)
    begin = rates(first, range(1, stop + 1))
    second.load_state_dict(first.state_dict())
    second._optimizer.load_state_dict(first._optimizer.state_dict())
    assert begin + rates(second, range(stop + 1, 7)) == whole


def test_the_plateau_does_not_take_growing_images_for_progress_or_for_none():
    """With patience 0 it would drop the rate in the second epoch; while images grow it looks away."""
    params = TrainParams(epochs=6, resizing=ResizingParams(epochs=3), plateau=PlateauParams(patience=0))
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    schedule = SCHEDULES["plateau"](optimizer, 0.1, params, 1)
    left = [schedule.after_epoch(epoch, val_loss)["lr_after"] for epoch, val_loss in enumerate([1, 3, 2, 2, 2, 1], 1)]
    # the first whole epoch is the best so far; the second is no better
    assert left == pytest.approx([0.1, 0.1, 0.1, 0.1, 0.01, 0.01])
