"""Peak memory of one training: ``python benchmarks/memory.py NUM_IMAGES SIZE``; prints JSON, in GB."""

import json
import resource
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from s10_pipeline.vision.data.augmented import build_sets
from s10_pipeline.vision.data.image_set import ImageSet
from s10_pipeline.vision.training.checkpoints import CheckpointStore
from s10_pipeline.vision.training.data import TrainingData
from s10_pipeline.vision.training.engine import train_classifier
from s10_pipeline.vision.training.params import TrainParams
from setting import AUGMENT


def mapped_images(path: Path, num_images: int, size: int) -> ImageSet:
    """Random images in a file, as the catalog keeps them."""
    rng = np.random.default_rng(0)
    pixels = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(num_images, size, size, 3))
    for start in range(0, num_images, 500):
        pixels[start : start + 500] = rng.integers(0, 256, pixels[start : start + 500].shape, np.uint8)
    pixels.flush()
    del pixels
    return ImageSet(np.load(path, mmap_mode="r"), np.arange(num_images) % 10, tuple("abcdefghij"), digest=str(path))


def watch_anonymous(peak: dict[str, float]) -> None:
    """Note the peak of memory that belongs to no file; Linux tells it."""
    status = Path("/proc/self/status")
    while status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("RssAnon"):
                peak["anonymous"] = max(peak["anonymous"], int(line.split()[1]) * 1024 / 1e9)
        time.sleep(0.02)


def main() -> None:
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
    unit = 1 if sys.platform == "darwin" else 1024
    peak["resident"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9
    print(json.dumps(peak))


if __name__ == "__main__":
    main()
