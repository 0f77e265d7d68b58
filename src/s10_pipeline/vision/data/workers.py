"""Choose the number of data-loading processes, and check that the system's limits suffice for them."""

import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path
from typing import Literal

import torch

from ..errors import UserError

# Number of messages that each worker prepares in advance; a message contains several batches.
PREFETCH = 2

# Folder of the shared memory through which workers send batches on Linux.
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108

# On Linux (cgroup v2): the file that names this process's cgroup, and the folder with the limits of all cgroups.
CGROUP, CGROUPS = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")


def check_limits(num_workers: int, message_bytes: int) -> None:
    """Raise UserError if shared memory or open files are too few, because torch would wait forever for the workers."""
    # shared memory holds PREFETCH messages per worker, and two more that the receiving process uses
    needed = message_bytes * (PREFETCH * num_workers + 2)
    free = shutil.disk_usage(SHARED_MEMORY).free if SHARED_MEMORY.is_dir() else needed
    if free < needed:
        most, gigabytes = max(0, (free // message_bytes - 2) // PREFETCH), -(-needed // 2**29)
        needed_mb, free_mb = round(needed / 1e6), round(free / 1e6)
        raise UserError(
            f"train.num_workers={num_workers}: needs {needed_mb} MB in {SHARED_MEMORY}, {free_mb} MB are free; start "
            f"the container with --shm-size={gigabytes}g, or use at most {most}"
        )
    if sys.platform != "win32":
        import resource

        # Estimate how many open files the run needs: those open now, 6 per worker for its pipes and shared memory, and
        # 32 for the files that the run writes.
        needed = len(os.listdir("/dev/fd")) + 6 * num_workers + 32
        if needed > (limit := resource.getrlimit(resource.RLIMIT_NOFILE)[0]) >= 0:
            raise UserError(
                f"train.num_workers={num_workers}: needs {needed} open files, ulimit -n is {limit}; raise it, or use 0"
            )


def num_cores() -> int:
    """Return how many CPU cores this process may use, by its affinity and its cgroup's ``cpu.max``."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    with suppress(OSError, ValueError):  # without cgroup v2 or a CPU limit ("max"), use the affinity alone
        own = CGROUP.read_text().rpartition("::/")[2].strip()
        quota, period = map(int, (CGROUPS / own / "cpu.max").read_text().split())
        cores = max(1, min(cores, quota // period))
    return cores


def resolve_num_workers(requested: Literal["auto"] | int, device: torch.device, num_processes: int = 1) -> int:
    """Return the number of data-loading processes per training process.

    ``auto`` gives 0 if training runs on the CPU, because the network needs the cores. On a GPU it gives this process's
    share of the cores minus one, from 1 to 12.
    """
    if requested != "auto":
        return requested
    return 0 if device.type == "cpu" else max(1, min(12, num_cores() // num_processes - 1))
