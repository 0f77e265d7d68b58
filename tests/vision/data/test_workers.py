import os
import shutil
import sys
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch

from s10_pipeline.vision.data import workers
from s10_pipeline.vision.data.loader import TrainLoader
from s10_pipeline.vision.data.workers import num_cores, resolve_num_workers
from s10_pipeline.vision.errors import UserError


@pytest.mark.parametrize(
    ("num_workers", "num_ranks", "hosts", "fits"),
    [(1, 1, 1, True), (2, 1, 1, False), (1, 2, 1, False), (1, 2, 2, True)],
)
def test_a_small_dev_shm_is_told_before_workers_start(shapes, sets, monkeypatch, num_workers, num_ranks, hosts, fits):
    # messages of 10 batches, 204,800 bytes each: 4 of one worker are under way at most
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=9 * 2**20))
    with nullcontext() if fits else pytest.raises(UserError) as refused:
        size, here = 64 * num_ranks, num_ranks // hosts
        TrainLoader(shapes[0], sets[0], size, 0, num_workers, num_ranks=num_ranks, num_here=here)
    if not fits:
        assert f"train.num_workers={num_workers}: needs 1" in str(refused.value)
        for fact in ("/dev/shm", "9 MB are free", "--shm-size=1g", f"use at most {2 - num_ranks}"):
            assert fact in str(refused.value)


@pytest.mark.skipif(sys.platform == "win32", reason="has no ulimit")
def test_few_open_files_are_told_before_workers_start(shapes, sets, monkeypatch):
    import resource

    monkeypatch.setattr(resource, "getrlimit", lambda _: (32, 32))
    with pytest.raises(UserError, match=r"train\.num_workers=2: needs \d+ open files, ulimit -n is 32; "):
        TrainLoader(shapes[0], sets[0], 50, 0, num_workers=2)


@pytest.mark.parametrize(("cpu_max", "cores"), [("max 100000", 8), ("250000 100000", 2), ("50000 100000", 1)])
def test_the_limit_of_a_container_counts(monkeypatch, tmp_path, cpu_max, cores):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(workers, "CGROUP", tmp_path / "cgroup")
    monkeypatch.setattr(workers, "CGROUPS", tmp_path)
    (tmp_path / "cgroup").write_text("0::/a/b\n")
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/cpu.max").write_text(f"{cpu_max}\n")
    assert num_cores() == cores


def test_number_of_workers():
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    assert resolve_num_workers(3, cpu) == resolve_num_workers(3, cuda, num_processes=2) == 3
    assert resolve_num_workers("auto", cpu) == 0
    assert resolve_num_workers("auto", cuda) >= resolve_num_workers("auto", cuda, num_processes=2) >= 1
