"""Measure the peak memory of one training: ``python benchmarks/memory.py NUM_IMAGES SIZE``; prints JSON, in GB.

The images are written by another process, so that the memory for writing them is not counted.
"""

import json
import logging
import multiprocessing
import resource
import sys
import tempfile
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from s10_pipeline.vision.data.image_set import ImageSet
from s10_pipeline.vision.data.split import build_sets
from s10_pipeline.vision.training.checkpoints import CheckpointStore
from s10_pipeline.vision.training.data import TrainingData
from s10_pipeline.vision.training.engine import train_classifier
from s10_pipeline.vision.training.params import TrainParams
from setting import AUGMENT

STATUS = Path("/proc/self/status")  # Linux has it


def mapped_images(path: Path, num_images: int, size: int) -> ImageSet:
    """Return random images in a memory-mapped file, as the catalog stores images."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as other:
        other.submit(write_images, path, num_images, size).result()
    return ImageSet(np.load(path, mmap_mode="r"), np.arange(num_images) % 10, tuple("abcdefghij"), digest=str(path))


def write_images(path: Path, num_images: int, size: int) -> None:
    rng = np.random.default_rng(0)
    pixels = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(num_images, size, size, 3))
    for start in range(0, num_images, 500):
        pixels[start : start + 500] = rng.integers(0, 256, pixels[start : start + 500].shape, np.uint8)
    pixels.flush()


def watch_anonymous(peak: dict[str, float]) -> None:
    """Record the peak of memory that is not mapped from files (Linux only)."""
    while STATUS.exists():
        peak["anonymous"] = max(peak["anonymous"], status("RssAnon"))
        time.sleep(0.02)


def peak_resident() -> float:
    """Return this process's peak memory so far, in GB; ``ru_maxrss`` on Linux would include the parent process's."""
    if STATUS.exists():
        return status("VmHWM")
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def status(name: str) -> float:
    """Return a figure from this process's status file, in GB."""
    (line,) = (line for line in STATUS.read_text().splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1]) * 1024 / 1e9


def main() -> None:
    logging.getLogger("s10_pipeline").setLevel(logging.ERROR)  # print nothing but the figures
    num_images, size = int(sys.argv[1]), int(sys.argv[2])
    peak = {"resident": 0.0, "anonymous": 0.0}
    threading.Thread(target=watch_anonymous, args=(peak,), daemon=True).start()
    with tempfile.TemporaryDirectory() as folder:
        train = mapped_images(Path(folder) / "train.npy", num_images, size)
        test = mapped_images(Path(folder) / "test.npy", max(100, num_images // 10), size)
        data = TrainingData(train, test, *build_sets(train, test, AUGMENT))
        params = TrainParams.model_validate(
            {"epochs": 1, "batch_size": 128, "architecture": {"depth": 8, "width": 8, "stem": "auto"}}
        )
        train_classifier(data, 0.01, params, CheckpointStore(Path(folder) / "checkpoints"))
    peak["resident"] = peak_resident()
    print(json.dumps(peak))


if __name__ == "__main__":
    main()
