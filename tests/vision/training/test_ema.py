import pytest
import torch

from s10_pipeline.vision.training.checkpoints import CheckpointStore
from s10_pipeline.vision.training.ema import build_ema, trained_weights
from s10_pipeline.vision.training.engine import train_classifier
from s10_pipeline.vision.training.trainer import Trainer

DECAY = 0.7


def show_nothing(*_: object) -> None:
    pass


def averaging(tiny, **values):
    return tiny.model_copy(update={"ema_decay": DECAY, "epochs": 2, **values})


def test_the_average_follows_the_weights(data, tiny):
    training = Trainer(data, 0.01, averaging(tiny), torch.device("cpu"))
    follow, expected, n = training.ema.update_parameters, None, 0

    def checked(model: torch.nn.Module) -> None:
        nonlocal expected, n
        follow(model)
        now = training.model.network.head.weight.detach().clone()
        kept = min(DECAY, (1 + n) / (10 + n))
        expected = now if expected is None else kept * expected + (1 - kept) * now
        n += 1
        torch.testing.assert_close(training.ema.module.network.head.weight, expected)

    training.ema.update_parameters = checked
    training._train_one_epoch(training.loader.epoch(training.epochs_done + 1), show_nothing)
    assert expected is not None
    assert not torch.allclose(expected, training.model.network.head.weight)


@pytest.mark.parametrize(
    ("decay", "shares"),
    [
        # 2/11, 3/12, 4/13, 5/14 of it are left
        (0.999, [1, 2 / 11, 1 / 22, 2 / 143, 5 / 1001]),
        # as long as that is less than the decay
        (0.2, [1, 2 / 11, 0.2 * 2 / 11, 0.04 * 2 / 11, 0.008 * 2 / 11]),
    ],
)
def test_the_first_weights_fade_quickly(decay, shares):
    model = torch.nn.BatchNorm1d(1)
    average = build_ema(model, decay)
    seen = []
    for value in (1.0, 0.0, 0.0, 0.0, 0.0):
        torch.nn.init.constant_(model.weight, value)
        torch.nn.init.constant_(model.running_mean, value)
        average.update_parameters(model)
        seen.append(average.module.weight.item())
        assert average.module.running_mean.item() == seen[-1]
    assert seen == pytest.approx(shares)


def test_what_is_measured_and_stored_is_the_average(data, tiny, tmp_path):
    result = train_classifier(data, 0.05, averaging(tiny), CheckpointStore(tmp_path / "a"))
    plain = train_classifier(data, 0.05, averaging(tiny, ema_decay=0.0), CheckpointStore(tmp_path / "b"))
    # the same steps were made, measured on other weights
    assert result.history["train_loss"].tolist() == plain.history["train_loss"].tolist()
    assert result.history["val_loss"].tolist() != plain.history["val_loss"].tolist()
    training = Trainer(data, 0.05, averaging(tiny), torch.device("cpu"))
    training.model.load_state_dict(result.model.state_dict())
    training.ema = None
    assert training._measure("train", training.val_images).mean_loss() == pytest.approx(
        result.history["val_loss"].iloc[-1], rel=1e-5
    )


def test_it_goes_on_from_a_checkpoint(data, tiny):
    whole, first, second = (Trainer(data, 0.05, averaging(tiny), torch.device("cpu")) for _ in range(3))
    for training, epochs in ((whole, 2), (first, 1)):
        for _ in range(epochs):
            training._train_one_epoch(training.loader.epoch(training.epochs_done + 1), show_nothing)
    second.restore(1, first.state())
    second._train_one_epoch(second.loader.epoch(2), show_nothing)
    for name, tensor in trained_weights(whole.state()).items():
        assert torch.equal(tensor, trained_weights(second.state())[name]), name
