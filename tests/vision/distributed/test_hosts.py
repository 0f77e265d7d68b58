"""Two hosts on one: the test is the first, ``python -m s10_pipeline join`` in a session of its own the second."""

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from s10_pipeline.vision.distributed import choose_run, hosts, launcher
from s10_pipeline.vision.errors import UserError
from s10_pipeline.vision.network import resnet
from s10_pipeline.vision.training.checkpoints import CheckpointStore
from s10_pipeline.vision.training.engine import TrainingResult, train_classifier
from s10_pipeline.vision.training.params import DistributedParams, TrainParams

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="joins by the loopback interface lo")

FAULTS = Path(__file__).parents[2] / "faults"


@pytest.fixture
def address() -> str:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return f"localhost:{free.getsockname()[1]}"


@pytest.fixture
def wait(monkeypatch):
    """Set how long hosts wait for each other, in this process and in those that it starts."""

    def for_seconds(seconds: int) -> None:
        for module in (launcher, hosts):
            monkeypatch.setattr(module, "WAIT_SECONDS", seconds)
        monkeypatch.setenv("S10_WAIT_SECONDS", str(seconds))
        monkeypatch.setenv("PYTHONPATH", f"{FAULTS}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")

    return for_seconds


@pytest.fixture
def join(tmp_path):
    """Start a second host; what it prints goes into a file."""
    started, ended = [], threading.Event()

    def start(address: str, fault: dict | None = None) -> subprocess.Popen:
        assert not ended.is_set(), "the test is over"
        command = [sys.executable, "-m", "s10_pipeline", "join", address]
        environment = os.environ | {"S10_FAULT": json.dumps(fault), "GLOO_SOCKET_IFNAME": "lo"}
        with (tmp_path / f"host {len(started)}").open("w") as output:
            process = subprocess.Popen(command, env=environment, stdout=output, stderr=output, start_new_session=True)
        started.append(process)
        return process

    yield start
    ended.set()
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def on_two_hosts(tiny: TrainParams, address: str, **how: int) -> TrainParams:
    return tiny.model_copy(update={"distributed": DistributedParams(num_nodes=2, rendezvous=address, **how)})


@pytest.fixture(autouse=True)
def loopback(monkeypatch):
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")


@pytest.fixture
def without_norm(monkeypatch) -> float:
    """Networks without BatchNorm, which on a CPU normalises by each process's share; a rate that they bear."""
    monkeypatch.setenv("S10_WITHOUT_NORM", "1")
    monkeypatch.setattr(resnet.nn, "BatchNorm2d", lambda channels: nn.Identity(channels))
    return 0.003  # a higher one amplifies rounding


def assert_equal(several: TrainingResult, one: TrainingResult) -> None:
    torch.testing.assert_close(several.model.state_dict(), one.model.state_dict(), rtol=1e-4, atol=1e-6)
    losses = [c for c in one.history if c.endswith("loss")]
    assert np.allclose(one.history[losses], several.history[losses], rtol=1e-4, equal_nan=True)


@pytest.mark.slow
def test_without_batch_norm_two_hosts_equal_one_process(data, tiny, tmp_path, address, join, wait, without_norm):
    wait(300)
    one = train_classifier(data, without_norm, tiny, CheckpointStore(tmp_path / "one"))
    params = on_two_hosts(tiny, address, num_processes=2)
    other = join(address)
    several = train_classifier(data, without_norm, params, CheckpointStore(tmp_path / "two"), choose_run(params))
    assert other.wait(60) == 0
    assert_equal(several, one)


@pytest.mark.slow
def test_a_killed_host_ends_the_run_or_joins_again(data, tiny, tmp_path, address, join, wait, without_norm, caplog):
    wait(300)
    caplog.set_level(logging.INFO)
    one = train_classifier(data, without_norm, tiny, CheckpointStore(tmp_path / "one"))
    store = CheckpointStore(tmp_path / "two")
    fault = {"at": "batch", "epoch": 2, "batch": 3, "rank": 1, "do": "kill all"}
    # without restarts the run ends
    params = on_two_hosts(tiny, address, max_restarts=0)
    killed = join(address, fault)
    with pytest.raises(UserError, match=r"max_restarts=0: .* start the same command again to train from epoch 2 on"):
        train_classifier(data, without_norm, params, store, choose_run(params))
    assert killed.wait(60) == -signal.SIGKILL
    # both commands again; now the run waits for the host that is killed, which joins once more
    params = on_two_hosts(tiny, address, max_restarts=1)
    killed, joined = join(address, fault), []
    again = threading.Thread(target=lambda: (killed.wait(), joined.append(join(address))))
    again.start()
    caplog.clear()
    several = train_classifier(data, without_norm, params, store, choose_run(params))
    again.join()
    assert killed.returncode == -signal.SIGKILL
    assert joined[0].wait(60) == 0
    assert [m for m in caplog.messages if m.startswith("resuming after epoch 1 of 2")], "not from the start"
    warnings = [r.message for r in caplog.records if r.levelno == logging.WARNING]
    assert [w for w in warnings if w.startswith("restart 1 of 1, from epoch 2 on: ")] == warnings
    assert_equal(several, one)


def test_a_host_that_never_comes_ends_the_run(data, tiny, tmp_path, address, wait):
    wait(2)
    params = on_two_hosts(tiny, address)
    message = rf"num_nodes=2: .* to {address} within 2 s; start .* from epoch 1 on"
    with pytest.raises(UserError, match=message) as caught:
        train_classifier(data, 0.01, params, CheckpointStore(tmp_path), choose_run(params))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("host", ["localhost", "192.0.2.1"], ids=["a taken port", "an address of no host"])
def test_an_address_where_no_host_can_join_is_refused(host, address, wait):
    wait(1)
    port = int(address.rpartition(":")[2])
    taken = socket.create_server(("", port)) if host == "localhost" else None
    with pytest.raises(UserError, match=rf"rendezvous={host}:{port}: no host can join there .*; give an address of"):
        hosts._open_store(f"{host}:{port}")
    if taken:
        taken.close()


def test_a_host_joins_no_run_of_other_code_and_none_where_nothing_listens(tiny, address, wait):
    wait(1)
    with pytest.raises(UserError, match=rf"^join {address}: no training .* within 1 s \(Connection refused\); start"):
        hosts.join(address)
    store = hosts._open_store(address)
    params = on_two_hosts(tiny, address).model_dump(mode="json")
    store.set("launch", json.dumps({"name": "first", "params": params, "code": "other"}))
    with pytest.raises(UserError, match=rf"^join {address}: the run there has another code version; install the same"):
        hosts.join(address)


def test_a_host_without_the_data_root_says_so(tiny, monkeypatch):
    def receive(*_, **__):
        raise FileNotFoundError(2, "No such file or directory", "/data/images.npy")

    monkeypatch.setattr(torch.distributed, "broadcast_object_list", receive)
    with pytest.raises(UserError, match=r"^join: /data/images.npy: not on this host; mount the first host's data root"):
        launcher._share_job(launcher.JoiningHost(tiny, torch.device("cpu")))
