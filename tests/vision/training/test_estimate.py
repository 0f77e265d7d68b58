import logging
import os
import time

import pytest
import torch

from s10_pipeline.vision.errors import UserError
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
    assert speed.num_weights == sum(
        p.numel() for p in build_classifier(data.train_images, data.train_set, tiny).parameters()
    )
    assert speed.where == f"cpu ({torch.get_num_threads()} threads), fp32"


def test_the_first_evaluation_does_not_count(data, tiny, monkeypatch):
    passes = []

    def sleep_once(model, _inputs: object) -> None:
        if not model.training:
            time.sleep(0 if passes else 1.5)
            passes.append(1)

    def slow_at_first(*args: object):
        model = build_classifier(*args)
        model.register_forward_pre_hook(sleep_once)
        return model

    monkeypatch.setattr(estimate, "build_classifier", slow_at_first)
    # the slow pass would make this 1.5; a busy machine makes it a tenth
    assert probe_speed(data.train_images, data.train_set, tiny).measuring * tiny.batch_size < 0.5
    assert len(passes) > 1


def test_an_epoch_of_one_batch_is_enough(data, tiny):
    assert probe_speed(data.train_images, data.train_set, tiny.model_copy(update={"batch_size": 360})).step > 0


@pytest.mark.parametrize(("num_processes", "sizes"), [(1, {64, 40}), (4, {16, 10})])
def test_a_process_s_share_of_a_batch_is_tried(data, tiny, monkeypatch, num_processes, sizes):
    seen = set()

    def watched(*args: object):
        model = build_classifier(*args)
        model.register_forward_pre_hook(lambda _, inputs: seen.add(len(inputs[0])))
        return model

    monkeypatch.setattr(estimate, "build_classifier", watched)
    monkeypatch.setattr(estimate, "MAX_SECONDS", 60)
    probe_speed(data.train_images, data.train_set, tiny, num_processes)
    assert seen == sizes


def test_the_first_two_steps_do_not_count(data, tiny, monkeypatch):
    steps = []

    def slow_at_first(*args: object):
        model = build_classifier(*args)
        model.register_forward_pre_hook(lambda *_: time.sleep(1.5 if len(steps) < 2 else 0) or steps.append(1))
        return model

    monkeypatch.setattr(estimate, "build_classifier", slow_at_first)
    speed = probe_speed(data.train_images, data.train_set, tiny)
    assert len(steps) > 3
    # one of them among the five that count would make this 0.3; a busy machine makes it a tenth
    assert speed.step * tiny.batch_size < 0.3


def fixed(monkeypatch, **values) -> None:
    speed = Speed(**{"step": 0.009, "data": 0.001, "measuring": 0.003, "num_weights": 1000, "where": "here", **values})
    monkeypatch.setattr(estimate, "probe_speed", lambda *_: speed)


def test_the_estimate_adds_up(data, tiny, monkeypatch, caplog):
    fixed(monkeypatch)
    with caplog.at_level(logging.INFO):
        announce(data.train_images, data.train_set, tiny, range_test=150, epochs=range(1, 51), num_measured=160)
    # 150 x 64 / 100 s; 50 x (360 / 100 + 160 x 0.003) s = 204 s
    assert [r.message for r in caplog.records] == [
        "training speed on here: about 100 images/s; estimated time: range test about 96 s, 50 epochs about 3 min"
    ]


def test_workers_hide_the_data_and_processes_share(data, tiny, monkeypatch, caplog):
    fixed(monkeypatch, data=0.03)
    params = tiny.model_copy(
        update={"num_workers": 2, "distributed": tiny.distributed.model_copy(update={"num_processes": 4})}
    )
    with caplog.at_level(logging.INFO):
        announce(data.train_images, data.train_set, params, epochs=range(1, 2), num_measured=0)
        announce(data.train_images, data.train_set, params, range_test=10, epochs=range(1, 1), num_measured=0)
        # the probe used four threads, of which each process gets one
        monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
        monkeypatch.setattr(estimate, "_advise_threads", lambda *_: None)
        announce(data.train_images, data.train_set, params, range_test=10, epochs=range(1, 2), num_measured=0)
    # 2 workers make 67 images per second, the network could take 111; the range test alone runs in one process
    assert caplog.messages == [
        "training speed on 4 x here: about 267 images/s; estimated time: 1 epoch about 1 s",
        "training speed on here: about 67 images/s; estimated time: range test about 10 s",
        "training speed on 4 x here: about 67 images/s; estimated time: range test about 10 s, 1 epoch about 5 s",
    ]


def test_small_images_cost_by_their_area_and_epochs_that_are_left_by_their_own(data, tiny, monkeypatch, caplog):
    fixed(monkeypatch)
    params = tiny.model_copy(update={"resizing": tiny.resizing.model_copy(update={"epochs": 1, "start": 0.5})})

    def told(num_measured: int, epochs: range, **range_test: int) -> list[str]:
        caplog.clear()
        with caplog.at_level(logging.INFO):
            announce(data.train_images, data.train_set, params, **range_test, epochs=epochs, num_measured=num_measured)
        return [message.removeprefix("training speed on here: about ") for message in caplog.messages]

    # 360 x (0.009 / 4 + 0.001) + 160 x 0.003 s, as all images are measured whole; and ten times 4.08 s
    assert told(160, range(1, 2)) == ["100 images/s; estimated time: 1 epoch about 2 s"]
    assert told(160, range(1, 12)) == ["100 images/s; estimated time: 11 epochs about 42 s"]
    fixed(monkeypatch, step=0.1)
    # 360 x 0.101 s: whole images, unlike in the first; 640 x 0.101 s; nothing to tell
    assert told(0, range(2, 3)) == ["10 images/s; estimated time: 1 epoch about 36 s"]
    assert told(0, range(1, 1), range_test=10) == ["10 images/s; estimated time: range test about 65 s"]
    assert told(0, range(3, 3)) == []


@pytest.mark.parametrize(
    ("num_weights", "epochs", "advised"), [(11_173_962, 1000, True), (11_173_962, 1, False), (1_000_000, 1000, False)]
)
def test_a_big_network_on_a_cpu_is_advised_against(data, tiny, monkeypatch, caplog, num_weights, epochs, advised):
    fixed(monkeypatch, num_weights=num_weights)
    announce(data.train_images, data.train_set, tiny, epochs=range(1, epochs + 1), num_measured=160)
    warnings = [r.message for r in caplog.records if r.levelno == logging.WARNING]
    assert [("11.2 million weights" in w and "--env=cpu" in w) for w in warnings] == [True] * advised


def test_a_batch_that_does_not_fit_is_told_by_its_size(data, tiny, monkeypatch):
    def full(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr(estimate, "train_epoch", full)
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
