import pytest
import torch

from s10_pipeline.vision.training.params import PlateauParams, TrainParams
from s10_pipeline.vision.training.schedule import Schedule

STEPS = 4


def schedule(**params) -> Schedule:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.8)
    return Schedule(optimizer, 0.8, TrainParams.model_validate(params), STEPS)


def rates(schedule: Schedule, epochs: range, val_loss: float = 1.0) -> list[list[float]]:
    """The rate of each step, by epoch."""
    seen = []
    for epoch in epochs:
        seen.append([])
        for step in range(STEPS):
            schedule.before_step(epoch, step)
            seen[-1].append(schedule.lr)
        schedule.after_epoch(epoch, val_loss)
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
    annealing = schedule(epochs=2, anneal_epochs=2, plateau=PlateauParams(patience=0, threshold=0.5))
    assert [annealing.after_epoch(epoch, 1.0) for epoch in (1, 2)] == [None, None]


def test_annealing_longer_than_the_epochs_begins_after_warm_up():
    seen = rates(schedule(epochs=2, warmup_epochs=1, anneal_epochs=9), range(1, 3))
    assert seen[1] == pytest.approx([0.8, 0.6, 0.4, 0.2])


def test_a_drop_gives_its_reason():
    dropping = schedule(epochs=9, plateau=PlateauParams(patience=1, factor=0.1))
    assert dropping.after_epoch(1, 0.5) is None
    assert dropping.after_epoch(2, 0.6) is None
    told = dropping.after_epoch(3, 0.7)
    assert told == "learning rate 0.8 -> 0.08: no better validation loss than 0.5000 for more than 1 epochs"


@pytest.mark.parametrize("stop", range(1, 6))
def test_it_goes_on_from_its_state(stop):
    params = {"epochs": 6, "warmup_epochs": 1, "anneal_epochs": 3, "plateau": PlateauParams(patience=0, threshold=0.5)}
    whole = rates(schedule(**params), range(1, 7))
    first, second = schedule(**params), schedule(**params)
    begin = rates(first, range(1, stop + 1))
    second.load_state_dict(first.state_dict())
    second._optimizer.load_state_dict(first._optimizer.state_dict())
    assert begin + rates(second, range(stop + 1, 7)) == whole
