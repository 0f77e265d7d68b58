"""Compare training throughput with a bare step (on CUDA also as a graph), a plain PyTorch loop and Lightning.

    python benchmarks/throughput.py [--depth 18 --width 64 --batch-size 128 --batches 6 --rounds 5]

All of them take turns. Prints images per second and ratios, and stores them in benchmarks/results/. Absolute figures
depend on other load on the machine, so compare the ratios: each round gives one, and the page states their median and
range.
"""

import argparse
import datetime
import importlib.util
import statistics

from contenders import Epoch, bare_step, captured_step, lightning, plain_loop
from setting import Setting, command, hardware, in_turn, keep, versions

OURS = "this project"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("depth", 18), ("width", 64), ("batch-size", 128), ("batches", 6), ("rounds", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    arguments = parser.parse_args()
    num_images = arguments.batches * arguments.batch_size
    setting = Setting(num_images, arguments.depth, arguments.width, arguments.batch_size)
    runs: dict[str, Epoch] = {
        OURS: setting.epoch_of_training(),
        "bare step": bare_step(setting),
        "plain fp32 loop": plain_loop(setting),
    }
    if setting.device.type == "cuda":
        runs["bare step as a CUDA graph"] = captured_step(setting)
    with_lightning = importlib.util.find_spec("pytorch_lightning") is not None
    if with_lightning:
        runs["Lightning"] = lightning(setting)
    else:
        print("without Lightning: pip install -r benchmarks/requirements.txt")
    seconds = in_turn(runs, arguments.rounds)
    packages = ("pytorch-lightning",) if with_lightning else ()
    keep(
        f"throughput-resnet{arguments.depth}x{arguments.width}",
        [
            f"# Training throughput, {hardware()}, {datetime.date.today()}",
            "",
            f"Command: {command()}. ResNet-{arguments.depth}, width {arguments.width}, batch {arguments.batch_size}, "
            f"32x32 images, {setting.precision.name} (plain loop: fp32), {setting.num_workers} workers a loader; "
            f"n = {arguments.rounds} rounds of {arguments.batches} batches, in turn, after one to warm up. Speed: "
            "median; ratios: of each round, median (lowest to highest).",
            versions(*packages),
            "",
            "| what | images/s | this project is |",
            "| --- | ---: | ---: |",
            *(_row(name, num_images, times, seconds[OURS]) for name, times in seconds.items()),
        ],
    )


def _row(name: str, num_images: int, seconds: list[float], ours: list[float]) -> str:
    ratios = [theirs / mine for theirs, mine in zip(seconds, ours, strict=True)]
    ratio = f"{statistics.median(ratios):.2f} x ({min(ratios):.2f} to {max(ratios):.2f})" if name != OURS else "1"
    return f"| {name} | {num_images / statistics.median(seconds):.0f} | {ratio} |"


if __name__ == "__main__":
    main()
