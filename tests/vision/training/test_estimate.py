import logging
import os
import time
from unittest.mock import Mock

import pytest
import torch

from s10_pipeline.vision.errors import UserError
from s10_pipeline.vision.network.classifier import Classifier
from s10_pipeline.vision.training import estimate
from s10_pipeline.vision.training.estimate import Speed, announce, in_words, probe_speed
from s10_pipeline.vision.training.model import build_classifier


def test_a_probe_measures_and_leaves_no_trace(data, tiny):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    speed = probe_speed(data.train_images, data.train_set, tiny)
    assert torch.equal(torch.rand(3), expected)
    assert min(speed.step, speed.data, speed.measuring) > 0
    model = build_classifier(data.train_images, data.train_set, tiny)
    assert speed.num_weights == sum(p.numel() for p in model.parameters())
    assert speed.where == f"cpu ({torch.get_num_threads()} threads), fp32"


@pytest.fixture
def before_each_pass(monkeypatch):
    """Call the given with the network that is tried, and its images."""

    def call(hook) -> None:
        forward = Classifier.forward
        monkeypatch.setattr(Classifier, "forward", lambda self, images: (hook(self, images), forward(self, images))[1])

    return call


@pytest.mark.parametrize(("training", "num_slow", "limit"), [(False, 1, 0.5), (True, 2, 0.3)])
def test_first_steps_and_the_first_evaluation_do_not_count(data, tiny, before_each_pass, training, num_slow, limit):
    passes = []

    def slow_at_first(model, _) -> None:
        if model.training is training:
            time.sleep(1.5 if len(passes) < num_slow else 0)
            passes.append(1)

    before_each_pass(slow_at_first)
    speed = probe_speed(data.train_images, data.train_set, tiny)
    # the slow pass would make this 1.5, or 0.3 as one of the five that count; a busy machine makes it a tenth
    assert (speed.step if training else speed.measuring) * tiny.batch_size < limit
    assert len(passes) > num_slow


@pytest.mark.parametrize(("of", "processes", "sizes"), [(64, 1, {64, 40}), (64, 4, {16, 10}), (360, 1, {360})])
def test_a_process_s_share_of_a_batch_is_tried(data, tiny, monkeypatch, before_each_pass, of, processes, sizes):
    seen = set()
    before_each_pass(lambda _, images: seen.add(len(images)))
    monkeypatch.setattr(estimate, "MAX_SECONDS", 60)
    params = tiny.model_copy(update={"batch_size": of})
    assert probe_speed(data.train_images, data.train_set, params, processes).step > 0
    assert seen == sizes


@pytest.fixture
def told(data, monkeypatch, caplog):
    """What is announced at the given speed."""

    def announced(train, epochs: range, num_measured: int = 0, range_test: int = 0, **values) -> list[str]:
        of_speed = {"step": 0.009, "data": 0.001, "measuring": 0.003, "num_weights": 1000, "where": "here", **values}
        monkeypatch.setattr(estimate, "probe_speed", lambda *_: Speed(**of_speed))
        caplog.clear()
        with caplog.at_level(logging.INFO):
            images = data.train_images, data.train_set
            announce(*images, train, range_test=range_test, epochs=epochs, num_measured=num_measured)
        return [message.removeprefix("training speed on ") for message in caplog.messages]

    return announced


def test_the_estimate_adds_up(tiny, told):
    # 150 x 64 / 100 s; 50 x (360 / 100 + 160 x 0.003) s = 204 s
    estimated = "range test about 96 s, 50 epochs about 3 min"
    assert told(tiny, range(1, 51), 160, range_test=150) == [f"here: about 100 images/s; estimated time: {estimated}"]


def test_workers_hide_the_data_and_processes_share(tiny, told, monkeypatch):
    distributed = tiny.distributed.model_copy(update={"num_processes": 4})
    params = tiny.model_copy(update={"num_workers": 2, "distributed": distributed})
    # 2 workers make 67 images per second, the network could take 111; the range test alone runs in one process
    expected = ["4 x here: about 267 images/s; estimated time: 1 epoch about 1 s"]
    assert told(params, range(1, 2), data=0.03) == expected
    expected = ["here: about 67 images/s; estimated time: range test about 10 s"]
    assert told(params, range(1, 1), range_test=10, data=0.03) == expected
    # the probe used four threads, of which each process gets one
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    monkeypatch.setattr(estimate, "_advise_threads", lambda *_: None)
    expected = ["4 x here: about 67 images/s; estimated time: range test about 10 s, 1 epoch about 5 s"]
    assert told(params, range(1, 2), range_test=10, data=0.03) == expected


def test_small_images_cost_by_their_area_and_epochs_that_are_left_by_their_own(tiny, told):
    params = tiny.model_copy(update={"resizing": tiny.resizing.model_copy(update={"epochs": 1, "start": 0.5})})
    # 360 x (0.009 / 4 + 0.001) + 160 x 0.003 s, as all images are measured whole; and ten times 4.08 s
    fast, slow = (f"here: about {speed} images/s; estimated time: " for speed in (100, 10))
    assert told(params, range(1, 2), 160) == [f"{fast}1 epoch about 2 s"]
    assert told(params, range(1, 12), 160) == [f"{fast}11 epochs about 42 s"]
    # 360 x 0.101 s: whole images, unlike in the first; 640 x 0.101 s; nothing to tell
    assert told(params, range(2, 3), step=0.1) == [f"{slow}1 epoch about 36 s"]
    assert told(params, range(1, 1), range_test=10, step=0.1) == [f"{slow}range test about 65 s"]
    assert told(params, range(3, 3), step=0.1) == []


@pytest.mark.parametrize(
    ("num_weights", "epochs", "advised"), [(11_173_962, 1000, True), (11_173_962, 1, False), (1_000_000, 1000, False)]
)
def test_a_big_network_on_a_cpu_is_advised_against(tiny, told, caplog, num_weights, epochs, advised):
    told(tiny, range(1, epochs + 1), 160, num_weights=num_weights)
    warnings = [r.message for r in caplog.records if r.levelno == logging.WARNING]
    assert [("11.2 million weights" in w and "--env=cpu" in w) for w in warnings] == [True] * advised


def test_a_batch_that_does_not_fit_is_told_by_its_size(data, tiny, monkeypatch):
    full = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
    monkeypatch.setattr(estimate, "train_epoch", Mock(side_effect=full))
    with pytest.raises(UserError, match=r"train.batch_size=64: does not fit into the memory of cpu .* such as 32"):
        probe_speed(data.train_images, data.train_set, tiny)


def test_what_the_device_cannot_do_is_refused_before_the_range_test(data, tiny):
    params = tiny.model_copy(update={"cuda_graph": "on"})
    with pytest.raises(UserError, match="train.cuda_graph=on: needs a CUDA GPU"):
        announce(data.train_images, data.train_set, params, range_test=10, epochs=range(1, 2), num_measured=0)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.1, "1 s"), (42.4, "42 s"), (99.9, "100 s"), (100, "2 min"), (3000, "50 min"), (12_000, "3 h 20 min"),
        (11_950, "3 h 10 min"), (200_000, "2 d 7 h"),
    ],
)  # fmt: skip
def test_times_are_told_in_two_figures(seconds, words):
    assert in_words(seconds) == words


@pytest.mark.parametrize(
    ("threads", "load", "limit", "advised"),
    [(2, 0.9, 2, None), (2, 7.6, 2, 1), (4, 3.1, 4, 1), (4, 0.2, 1, 1), (1, 9, 2, None), (4, 1, 3, 3)],
)
def test_busy_or_limited_cores_are_told_once(data, tiny, monkeypatch, caplog, threads, load, limit, advised):
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    monkeypatch.setattr(os, "getloadavg", lambda: (load, 0, 0), raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: threads)
    monkeypatch.setattr(estimate, "num_cores", lambda: limit)
    announce(data.train_images, data.train_set, tiny, range_test=1, epochs=range(1, 2), num_measured=0)
    told = [line for line in caplog.messages if "OMP_NUM_THREADS" in line]
    assert len(told) == (advised is not None)
    assert not told or told[0].endswith(f"OMP_NUM_THREADS={advised}")
