import copy
import logging

import pytest
import torch

from s10_pipeline.vision.data.loader import TrainLoader
from s10_pipeline.vision.device import Precision, choose_precision, deterministic_algorithms
from s10_pipeline.vision.network.classifier import classifier_to_bytes
from s10_pipeline.vision.training import step as step_module
from s10_pipeline.vision.training import trainer as trainer_module
from s10_pipeline.vision.training.checkpoints import CheckpointStore
from s10_pipeline.vision.training.ema import build_ema
from s10_pipeline.vision.training.engine import train_classifier
from s10_pipeline.vision.training.model import build_classifier
from s10_pipeline.vision.training.optimizer import build_optimizer
from s10_pipeline.vision.training.params import TrainParams
from s10_pipeline.vision.training.step import WARMUP_STEPS, CapturedStep, TrainStep, build_step, own_stream
from s10_pipeline.vision.training.trainer import DivergedError, train_epoch

CPU_FP32 = choose_precision("fp32", torch.device("cpu"))
BATCH_SIZE = 32  # 360 images: 11 batches and one of 8


class Recorder:
    """Stands in for the capture of CUDA graphs: a replay calls the function, which a capture does not."""

    def __init__(self) -> None:
        self.captures, self.replays = 0, 0

    def __call__(self, compute):
        self.captures += 1

        def replay() -> torch.Tensor:
            self.replays += 1
            return compute()

        return replay


def step_of(model, tiny, capture=None, precision=CPU_FP32) -> TrainStep:
    parts = model, build_optimizer(model, tiny, 0.05), precision, 0.1
    return CapturedStep(capture, *parts) if capture else TrainStep(*parts)


def epochs_of(step, data, count=1):
    """Train with a rate that changes at each batch; sums of the last epoch."""
    loader = TrainLoader(data.train_images, data.train_set, BATCH_SIZE, 0)

    def train_batch(number: int, *batch: torch.Tensor) -> None:
        step.optimizer.param_groups[0]["lr"] = 0.05 / (1 + number)
        step(*batch)

    for epoch in range(1, count + 1):
        torch.manual_seed(epoch)
        sums, _ = train_epoch(step, loader.epoch(epoch), epoch=epoch, train_batch=train_batch)
    return sums


def test_captured_and_eager_steps_train_the_same(classifier, data, tiny):
    eager, captured = classifier, copy.deepcopy(classifier)
    recorder = Recorder()
    steps = step_of(eager, tiny), step_of(captured, tiny, recorder)
    sums, captured_sums = (epochs_of(step, data, count=2) for step in steps)
    assert classifier_to_bytes(eager) == classifier_to_bytes(captured)
    assert torch.equal(*(torch.cat(step.margins) for step in steps))
    assert [float(value) for value in sums] == [float(value) for value in captured_sums]
    # 22 whole batches, of which the first are trained eagerly, as the two last batches of 8 images are
    assert (recorder.captures, recorder.replays) == (1, 22 - WARMUP_STEPS)


def test_a_first_step_that_is_skipped_in_fp16_leaves_no_momentum(classifier, data, tiny, monkeypatch):
    def uninitialised(tensor, **_):
        return torch.full_like(tensor, 1e4)

    expected = copy.deepcopy(classifier)
    monkeypatch.setattr(torch, "empty_like", uninitialised)
    half = Precision("fp16", torch.device("cpu"))
    first, second, *_ = TrainLoader(data.train_images, data.train_set, BATCH_SIZE, 0).epoch(1)
    step = step_of(classifier, tiny, precision=half)
    step.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**126)
    step(*first)  # its gradients are infinite
    step.scaler = half.grad_scaler()
    expected.load_state_dict(classifier.state_dict())
    for each in (step, step_of(expected, tiny, precision=half)):
        each(*second)
    assert classifier_to_bytes(classifier) == classifier_to_bytes(expected)


def test_each_batch_shape_gets_a_graph_once_it_came_often_enough(classifier, data, tiny):
    recorder = Recorder()
    step = step_of(classifier, tiny, recorder)
    epochs_of(step, data, count=WARMUP_STEPS + 1)
    assert recorder.captures == 2
    assert recorder.replays == 11 * (WARMUP_STEPS + 1) - WARMUP_STEPS + 1


@pytest.mark.parametrize("precision", [CPU_FP32, Precision("fp16", torch.device("cpu"))], ids=["fp32", "fp16"])
def test_a_capture_that_fails_within_the_optimizer_warns_once_and_training_goes_on(
    classifier, data, tiny, caplog, monkeypatch, precision
):
    def fail(_compute):
        def refuse():
            raise RuntimeError("operation not permitted when stream is capturing\nmore words")

        with monkeypatch.context() as patch:
            patch.setattr(step.optimizer, "step", refuse)
            step.scaler.step(step.optimizer)

    eager, captured = classifier, copy.deepcopy(classifier)
    epochs_of(step_of(eager, tiny, precision=precision), data, count=2)
    step = step_of(captured, tiny, fail, precision)
    with caplog.at_level(logging.WARNING):
        epochs_of(step, data, count=2)
    assert classifier_to_bytes(eager) == classifier_to_bytes(captured)
    (warning,) = caplog.messages
    assert "operation not permitted when stream is capturing" in warning
    assert "more words" not in warning


@pytest.mark.parametrize("capture", [None, Recorder()], ids=["eager", "captured"])
def test_a_loss_that_is_not_finite_stops_naming_place_and_rate(classifier, data, tiny, capture):
    step = step_of(classifier, tiny, capture)
    epochs_of(step, data)
    loader = TrainLoader(data.train_images, data.train_set, BATCH_SIZE, 0)

    def explode(number: int, *batch: torch.Tensor) -> None:
        if number == 7:
            with torch.no_grad():
                classifier.network.head.weight.fill_(float("inf"))
        step.optimizer.param_groups[0]["lr"] = 0.01 * (1 + number)
        step(*batch)

    with pytest.raises(DivergedError, match=r"not finite at learning rate 0.08, in epoch 2, batch 8; give"):
        train_epoch(step, loader.epoch(2), epoch=2, train_batch=explode)


@pytest.mark.parametrize("cuda_graph", ["auto", "off"])
def test_a_cpu_trains_eagerly(classifier, tiny, cuda_graph):
    params = tiny.model_copy(update={"cuda_graph": cuda_graph})
    optimizer = build_optimizer(classifier, params, 0.05)
    assert type(build_step(classifier, optimizer, CPU_FP32, params)) is TrainStep


needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def on_cuda(tiny, **values) -> TrainParams:
    """A small training with everything that must survive a capture: dropout, EMA, smoothing, odd batches."""
    given = {
        **tiny.model_dump(), "device": "cuda", "precision": "auto", "epochs": 3, "batch_size": BATCH_SIZE,
        "ema_decay": 0.9, "label_smoothing": 0.1, "anneal_epochs": 1, "warmup_epochs": 1, "deterministic": True,
    }  # fmt: skip
    given["architecture"] |= {"width": 32, "dropout": 0.1, "stem_dropout": 0.05}
    return TrainParams.model_validate({**given, **values})


def trained(data, params, folder):
    return train_classifier(data, 0.05, params, CheckpointStore(folder))


@pytest.mark.gpu
@needs_cuda
@pytest.mark.parametrize(
    "values",
    [
        {}, {"precision": "fp32"}, {"precision": "fp16"}, {"resizing": {"epochs": 2, "start": 0.5}},
        {"batch_size": 128, "nesterov": True}, {"momentum": 0.0},
    ],
    ids=["bf16", "fp32", "fp16", "resizing", "nesterov", "no momentum"],
)  # fmt: skip
def test_captured_training_ends_with_the_eager_one_s_bytes(data, tiny, tmp_path, values, monkeypatch):
    graphs = []
    plain = step_module.cuda_graphs

    def counted():
        capture = plain()
        return lambda compute: (graphs.append(1), capture(compute))[1]

    monkeypatch.setattr(step_module, "cuda_graphs", counted)
    off, on = (trained(data, on_cuda(tiny, **values, cuda_graph=c), tmp_path / c) for c in ("off", "on"))
    assert graphs
    assert off.history.equals(on.history)
    assert off.margins.equals(on.margins)
    assert classifier_to_bytes(off.model) == classifier_to_bytes(on.model)


@pytest.mark.gpu
@needs_cuda
def test_captured_training_without_determinism_is_within_tolerance(data, tiny, tmp_path):
    params = [on_cuda(tiny, deterministic=False, cuda_graph=c, label_smoothing=0.0) for c in ("off", "on")]
    off, on = (trained(data, p, tmp_path / p.cuda_graph).history for p in params)
    assert on["train_loss"].to_numpy() == pytest.approx(off["train_loss"].to_numpy(), rel=2e-2)


@pytest.mark.gpu
@needs_cuda
@pytest.mark.parametrize(("precision", "cuda_graph"), [("auto", "on"), ("fp16", "on"), ("fp16", "off")])
def test_training_on_cuda_resumes_bit_for_bit(data, tiny, tmp_path, precision, cuda_graph):
    params = on_cuda(tiny, precision=precision, cuda_graph=cuda_graph, anneal_epochs=0)
    whole = trained(data, params, tmp_path / "whole")
    trained(data, params.model_copy(update={"epochs": 1}), tmp_path / "parts")
    resumed = trained(data, params, tmp_path / "parts")
    assert resumed.history.equals(whole.history)
    assert classifier_to_bytes(resumed.model) == classifier_to_bytes(whole.model)


@pytest.mark.gpu
@needs_cuda
def test_a_failed_capture_on_cuda_goes_on_eagerly(data, tiny, tmp_path, monkeypatch, caplog):
    plain = TrainStep.compute

    def waiting(self, *arguments) -> torch.Tensor:
        logits_bk = plain(self, *arguments)
        if torch.cuda.is_current_stream_capturing():
            float(self.metrics.loss)  # waits for the device, which no capture allows
        return logits_bk

    monkeypatch.setattr(TrainStep, "compute", waiting)
    params = on_cuda(tiny)
    failed = trained(data, params, tmp_path / "failed")
    assert sum("CUDA graph" in message for message in caplog.messages) == 1
    monkeypatch.undo()
    off = trained(data, params.model_copy(update={"cuda_graph": "off"}), tmp_path / "off")
    assert failed.history["train_loss"].to_numpy() == pytest.approx(off.history["train_loss"].to_numpy(), rel=1e-3)


@pytest.mark.gpu
@needs_cuda
@pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype")
@pytest.mark.parametrize("cuda_graph", ["on", "off"])
@pytest.mark.parametrize("precision", ["auto", "fp16"])
def test_steps_never_wait_for_the_device(data, tiny, monkeypatch, cuda_graph, precision):
    monkeypatch.setattr(trainer_module, "SECONDS_BETWEEN_PROGRESS", 1e9)
    device = torch.device("cuda")
    chosen = choose_precision(precision, device)
    params = on_cuda(tiny, cuda_graph=cuda_graph)
    model = build_classifier(data.train_images, data.train_set, params).to(device)
    step = build_step(model, build_optimizer(model, params, 0.01), chosen, params)
    ema = build_ema(model, params.ema_decay)
    loader = TrainLoader(data.train_images, data.train_set, BATCH_SIZE, 0, pin_memory=True)

    def batches():
        for number, batch in enumerate(loader.epoch(1)):
            # the first steps allocate, choose kernels and are captured; the end of the epoch asks for the sums
            torch.cuda.set_sync_debug_mode("error" if number > WARMUP_STEPS else "default")
            yield batch
        torch.cuda.set_sync_debug_mode("default")

    with own_stream(device), deterministic_algorithms(False):
        train_epoch(
            step, batches(), epoch=1, train_batch=lambda _, *batch: (step(*batch), ema.update_parameters(model))
        )
