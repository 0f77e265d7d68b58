"""Compare training throughput with a bare step (on CUDA also as a graph), a plain loop, Lightning and timm.

    python benchmarks/throughput.py [--depth 18 --width 64 --batch-size 128 --batches 6 --rounds 5]

All of them run in turn, in this machine's fastest precision and in fp32. Prints images per second and ratios, and
stores them in benchmarks/results/. Absolute speeds depend on other load on the machine, so compare the ratios: each
round gives one, and the page states their median and range.
"""

import argparse
import datetime
import importlib.util
import os
import statistics

from contenders import Epoch, bare_step, captured_step, lightning, plain_loop, timm_loop
from setting import Setting, command, hardware, in_turn, keep, versions

OURS = "this project"
LIBRARIES = {"pytorch_lightning": ("Lightning", lightning), "timm": ("timm's train.py", timm_loop)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("depth", 18), ("width", 64), ("batch-size", 128), ("batches", 6), ("rounds", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    arguments = parser.parse_args()
    num_images = arguments.batches * arguments.batch_size
    size = arguments.depth, arguments.width, arguments.batch_size
    setting = Setting(num_images, *size)
    settings = [setting] + [Setting(num_images, *size, precision="fp32")] * (setting.precision.name != "fp32")
    installed = [name for name in LIBRARIES if importlib.util.find_spec(name)]
    for name in LIBRARIES.keys() - installed:
        print(f"without {name}: pip install -r benchmarks/requirements.txt")
    runs: dict[tuple[str, str], Epoch] = {}
    for s in settings:
        contenders = {"bare step": bare_step, **dict(LIBRARIES[name] for name in installed)}
        if s is setting:
            contenders["plain fp32 loop"] = plain_loop
        if s.device.type == "cuda":
            contenders["bare step as a CUDA graph"] = captured_step
        runs[s.precision.name, OURS] = s.epoch_of_training()
        runs |= {(s.precision.name, name): make(s) for name, make in contenders.items()}
    seconds = in_turn(runs, arguments.rounds)
    load = f"; load {os.getloadavg()[0]:.1f} at the end" if hasattr(os, "getloadavg") else ""
    keep(
        f"throughput-resnet{arguments.depth}x{arguments.width}",
        [
            f"# Training throughput, {hardware()}, {datetime.date.today()}",
            "",
            f"Command: {command()}. ResNet-{arguments.depth}, width {arguments.width}, batch {arguments.batch_size}, "
            f"32x32 images, {setting.num_workers} workers per loader; n = {arguments.rounds} rounds of "
            f"{arguments.batches} batches, in turn, after a warm-up round. Speed: median. Ratio: median (range) "
            f"over rounds, in one precision (plain loop: against {setting.precision.name}){load}.",
            versions(*(name.replace("_", "-") for name in installed)),
            "",
            "| precision | program | images/s | this project is |",
            "| --- | --- | ---: | ---: |",
            *(_row(key, num_images, times, seconds[key[0], OURS]) for key, times in seconds.items()),
        ],
    )


def _row(key: tuple[str, str], num_images: int, seconds: list[float], ours: list[float]) -> str:
    precision, name = key
    ratios = [theirs / mine for theirs, mine in zip(seconds, ours, strict=True)]
    ratio = f"{statistics.median(ratios):.2f} x ({min(ratios):.2f} to {max(ratios):.2f})" if name != OURS else "1"
    return f"| {precision} | {name} | {num_images / statistics.median(seconds):.0f} | {ratio} |"


if __name__ == "__main__":
    main()
