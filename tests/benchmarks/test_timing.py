"""The scripts that measure speed and memory, on little data."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from contenders import loader_of_single_images, plain_loop
from setting import Setting, in_turn

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_the_plain_loop_is_contiguous_all_through():
    layouts = []

    def note(module, inputs):
        if isinstance(module, torch.nn.Conv2d):
            layouts.append(inputs[0].is_contiguous() and module.weight.is_contiguous())

    epoch = plain_loop(Setting(num_images=160, depth=8, width=16, batch_size=16))
    handle = torch.nn.modules.module.register_module_forward_pre_hook(note)
    try:
        epoch()
    finally:
        handle.remove()
    assert len(layouts) > 8 and all(layouts)


@pytest.mark.parametrize("workers", [0, 2])
def test_others_have_as_many_workers_as_this_project(workers):
    loader = loader_of_single_images(Setting(num_images=160, depth=8, width=16, num_workers=workers))
    assert (loader.num_workers, loader.persistent_workers) == (workers, workers > 0)


def test_runs_take_turns_after_one_round_to_warm_up():
    order = []

    def run(name):
        order.append(name)
        return float(len(order))

    seconds = in_turn({"a": lambda: run("a"), "b": lambda: run("b")}, rounds=2)
    assert order == list("ababab") and seconds == {"a": [3.0, 5.0], "b": [4.0, 6.0]}


def printed(*command: str) -> str:
    path = f"{BENCHMARKS}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    run = subprocess.run([sys.executable, *command], env=environment, check=True, capture_output=True, text=True)
    return run.stdout


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux tells it")
def test_peak_memory_counts_neither_what_started_it_nor_the_making_of_images(tmp_path):
    measured = (
        "from pathlib import Path; import memory; before = memory.peak_resident(); "
        f"images = memory.mapped_images(Path({str(tmp_path / 'images.npy')!r}), 100_000, 32); "
        "print(before, memory.peak_resident() - before)"
    )
    # the process that starts it has 1.5 GB, the images are 0.3 GB
    starter = (
        "import subprocess, sys; large = b'x' * 1_500_000_000; "
        f"subprocess.run([sys.executable, '-c', {measured!r}], check=True)"
    )
    before, added = map(float, printed("-c", starter).split())
    assert 0.1 < before < 1.3 and added < 0.1


@pytest.mark.slow
def test_peak_memory_of_a_training():
    peak = json.loads(printed(str(BENCHMARKS / "memory.py"), "300", "32"))
    assert 0.1 < peak["anonymous"] < peak["resident"] < 4
