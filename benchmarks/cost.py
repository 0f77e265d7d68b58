"""What training costs by number of images, width, image size and workers, and how much memory it takes.

    python benchmarks/cost.py [--rounds 3] [--big-images 30000]

Prints tables and keeps them in benchmarks/results/. Memory is measured in processes of their own, the largest over
``--big-images`` images of 224 pixels in a memory map (4.5 GB of disk in the folder for temporary files).
"""

import argparse
import datetime
import json
import statistics
import subprocess
import sys
from pathlib import Path

from setting import Setting, command, hardware, keep, versions

# name of the sweep -> (column, settings); all else is the first row of the first
BASE = {"num_images": 1024, "depth": 10, "width": 16}
SWEEPS = {
    "images an epoch": ("num_images", [512, 1024, 4096, 16384]),
    "width": ("width", [8, 16, 32, 64]),
    "image size": ("size", [32, 64, 128, 224]),
    "workers": ("num_workers", [0, 1, 2]),
}
# images, their side
MEMORY = [(10_000, 32), (50_000, 32), (3_000, 224)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--big-images", type=int, default=30_000)
    arguments = parser.parse_args()
    lines = [
        f"# Cost of training, {hardware()}, {datetime.date.today()}",
        "",
        f"Command: {command()}. ResNet-10, width 16, batch 128, 1,024 images of 32x32 an epoch where nothing else is "
        f"said; median of n = {arguments.rounds} epochs after one to warm up.",
        versions(),
    ]
    for title, (column, values) in SWEEPS.items():
        lines += ["", f"| {title} | images/s | ms an image |", "| ---: | ---: | ---: |"]
        for value in values:
            setting = Setting(**{**BASE, column: value})
            epoch = setting.epoch_of_training()
            seconds = statistics.median([epoch() for _ in range(arguments.rounds + 1)][1:])
            speed = setting.num_images / seconds
            lines.append(f"| {value:,} | {speed:.0f} | {1000 / speed:.2f} |")
    lines += [
        "",
        "Peak memory of a whole training of one epoch (ResNet-8, width 8, validation and test included): all that is",
        "resident, the pixels' file among it as far as the system keeps it mapped, and what cannot be given back.",
        "",
        "| images | size | resident, GB | of it not the file, GB |",
        "| ---: | ---: | ---: | ---: |",
    ]
    for num_images, size in [*MEMORY, (arguments.big_images, 224)]:
        script = Path(__file__).with_name("memory.py")
        output = subprocess.run(
            [sys.executable, str(script), str(num_images), str(size)], check=True, capture_output=True, text=True
        ).stdout
        peak = json.loads(output.splitlines()[-1])
        lines.append(f"| {num_images:,} | {size} | {peak['resident']:.2f} | {peak['anonymous']:.2f} |")
    keep("cost", lines)


if __name__ == "__main__":
    main()
