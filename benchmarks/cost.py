"""Measure training time by number of images, width, image size and number of workers, and peak memory.

    python benchmarks/cost.py [--rounds 3] [--big-images 30000]

Prints tables and stores them in benchmarks/results/. In each round, every configuration is measured once. Memory is
measured in separate processes, the largest with ``--big-images`` images of 224 pixels in a memory map (4.5 GB of disk
in the folder for temporary files).
"""

import argparse
import datetime
import json
import statistics
import subprocess
import sys
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from s10_pipeline.vision.data.workers import resolve_num_workers
from s10_pipeline.vision.device import choose_device
from s10_pipeline.vision.network.classifier import resolve_stem
from setting import Setting, command, hardware, in_turn, keep, versions

DEPTH = 10
# number of images and their side in pixels
MEMORY = [(10_000, 32), (50_000, 32), (3_000, 224)]


class Configuration(NamedTuple):
    num_workers: int
    num_images: int = 1024
    width: int = 16
    size: int = 32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--big-images", type=int, default=30_000)
    arguments = parser.parse_args()
    base = Configuration(resolve_num_workers("auto", choose_device("auto")))
    tables = sweeps(base)
    once = dict.fromkeys(chain.from_iterable(tables.values()))  # every table includes the base recipe
    settings = {c: Setting(depth=DEPTH, **c._asdict()) for c in once}
    stems = {c: resolve_stem(s.params.architecture, (s.size, s.size)).stem for c, s in settings.items()}
    seconds = in_turn({c: setting.epoch_of_training() for c, setting in settings.items()}, arguments.rounds)
    lines = [
        f"# Cost of training, {hardware()}, {datetime.date.today()}",
        "",
        f"Command: {command()}. ResNet-{DEPTH}, width {base.width}, batch 128, {base.num_images:,} images of "
        f"{base.size}x{base.size} an epoch, stem `{stems[base]}`, {base.num_workers} workers where nothing else is "
        f"said; n = {arguments.rounds} epochs of each configuration, all in turn, after one to warm up: median (lowest "
        "to highest). What stands in several tables was measured once.",
        versions(),
    ]
    for (title, column), configurations in tables.items():
        lines += ["", f"| {title} | images/s | ms per image |", "| ---: | ---: | ---: |"]
        for c in configurations:
            stem = "" if stems[c] == stems[base] else f", stem `{stems[c]}`"
            lines.append(row(f"{getattr(c, column):,}{stem}", c.num_images, seconds[c]))
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


def sweeps(base: Configuration) -> dict[tuple[str, str], list[Configuration]]:
    """Return (title, name of what changes) -> configurations; each table includes the recipe ``base``."""
    values = {
        ("images per epoch", "num_images"): [512, 1024, 4096, 16384],
        ("width", "width"): [8, 16, 32, 64],
        ("image size", "size"): [32, 64, 128, 224],
        ("workers", "num_workers"): sorted({0, 1, 2, base.num_workers}),
    }
    return {(title, column): [base._replace(**{column: v}) for v in tried] for (title, column), tried in values.items()}


def row(name: str, num_images: int, seconds: list[float]) -> str:
    speeds = [num_images / s for s in seconds]
    speed = statistics.median(speeds)
    return f"| {name} | {speed:.0f} ({min(speeds):.0f} to {max(speeds):.0f}) | {1000 / speed:.2f} |"


if __name__ == "__main__":
    main()
