"""How many processes may prepare batches, and what they need to send them."""

import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path
from typing import Literal

import torch

from ..errors import UserError

# Each worker prepares so many messages ahead.
PREFETCH = 2

# Where workers leave what they send, on Linux.
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108

# Which cgroup this process is in, and the limits of all (Linux, cgroup v2).
CGROUP, CGROUPS = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")


def check_limits(num_workers: int, message_bytes: int) -> None:
    """Raise UserError where workers could not send: torch would wait for ever for a message that never left them."""
    # besides those prepared ahead, the receiver holds one and takes the next
    needed = message_bytes * (PREFETCH * num_workers + 2)
    free = shutil.disk_usage(SHARED_MEMORY).free if SHARED_MEMORY.is_dir() else needed
    if free < needed:
        fitting = (free // message_bytes - 2) // PREFETCH
        raise UserError(
            f"train.num_workers={num_workers}: needs {needed / 1e6:.0f} MB in {SHARED_MEMORY}, {free / 1e6:.0f} MB are "
            f"free; start the container with --shm-size={-(-needed // 2**29)}g, or take at most {max(0, fitting)}"
        )
    if sys.platform != "win32":
        import resource

        # of a worker: its pipes and shared files; of the rest: what handing over files needs, and artifacts
        needed = len(os.listdir("/dev/fd")) + 6 * num_workers + 32
        if needed > (limit := resource.getrlimit(resource.RLIMIT_NOFILE)[0]) >= 0:
            raise UserError(
                f"train.num_workers={num_workers}: needs {needed} open files, ulimit -n is {limit}; raise it, or take 0"
            )


def num_cores() -> int:
    """Return how many processor cores this process may use, by its affinity and its cgroup's ``cpu.max``."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    with suppress(OSError, ValueError):  # no cgroup v2, or "max"
        own = CGROUP.read_text().rpartition("::/")[2].strip()
        quota, period = map(int, (CGROUPS / own / "cpu.max").read_text().split())
        cores = max(1, min(cores, quota // period))
    return cores


def resolve_num_workers(requested: Literal["auto"] | int, device: torch.device, num_processes: int = 1) -> int:
    """``auto``: none on a CPU, whose cores the network needs itself; on a GPU its share of the cores, at most 12."""
    if requested != "auto":
        return requested
    return 0 if device.type == "cpu" else max(1, min(12, num_cores() // num_processes - 1))
