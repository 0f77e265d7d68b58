"""Train an environment's recipe with several seeds; with two environments, compare them on the same seeds.

    python benchmarks/seeds.py cpu --seeds 0 1 2 --params ingest.source=parquet,ingest.path=DIR --data "CIFAR-10"
    python benchmarks/seeds.py base seed --seeds 0 1 2

Each training is a ``kedro run --only-missing-outputs``, so finished trainings are not repeated, and an interrupted
benchmark resumes where it stopped. Prints a table and stores it in benchmarks/results/.
"""

import argparse
import datetime
import math
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from kedro.framework.startup import bootstrap_project
from scipy.stats import t as student

from s10_pipeline.staleness.commands.options import open_context, open_records
from setting import RESULTS, add_params, command, hardware, keep, versions

ROOT = Path(__file__).parent.parent
STAGES = "data,lr_search,training,evaluation"


@dataclass(frozen=True)
class Trained:
    """The results of one seed of an environment.

    Attributes:
        test, flipped: test accuracy in percent, without and with ``evaluate.test_time_flip`` (else None).
        val: validation accuracy of the last epoch, in percent.
        training, stages: seconds of ``train_resnet`` and of all stages, without start-up.
        epochs_alone: seconds of the training steps of all epochs, including those before an interruption.
        wall: seconds of the whole command; None if the training was done by an earlier command.
    """

    seed: int
    lr: float
    epochs: int
    val: float
    test: float
    flipped: float | None
    training: float
    stages: float
    epochs_alone: float
    wall: float | None

    @property
    def resumed(self) -> bool:
        """Whether the training was resumed, so that its seconds lack a part (not seen if that part is very short)."""
        return self.training < self.epochs_alone


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("envs", nargs="+", help="one environment, or two to compare")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    add_params(parser)
    parser.add_argument("--data", default="the environment's own", help="what the images are, for the heading")
    parser.add_argument("--name", help="of the page, if it is not made of the environments' names")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the page")
    arguments = parser.parse_args()
    n = len(arguments.seeds)
    if len(arguments.envs) > 2 or len(set(arguments.seeds)) < n:
        parser.error("takes one environment or two, and each seed once")
    results = arguments.results.resolve()
    os.chdir(ROOT)  # where Kedro looks for the project
    bootstrap_project(ROOT)
    trained = {env: [train(env, seed, arguments.params) for seed in arguments.seeds] for env in arguments.envs}
    seeds, intervals = ("seeds", "Intervals are Student's t over seeds.") if n > 1 else ("seed", "One has no interval.")
    lines = [
        f"# Accuracy by seed of {' and '.join(f'`{env}`' for env in arguments.envs)}, {hardware()}, "
        f"{datetime.date.today()}",
        "",
        f"Command: {command()}. Data: {arguments.data}. n = {n} {seeds} of weights, batch order and augmentation; "
        f"the validation split is the same. {intervals} Seconds: of training, of all stages up to evaluation, and of "
        "the whole command with its start-up; none where a training that was broken off went on.",
        versions(),
    ]
    for env, rows in trained.items():
        lines += ["", f"## `{env}`", "", *table(rows), "", *in_words([row.test for row in rows], "test accuracy")]
        if flipped := [row.flipped for row in rows if row.flipped is not None]:
            lines += in_words(flipped, "test accuracy with test-time flip")
    if len(arguments.envs) == 2:
        first, second = trained.values()
        gains = [a.test - b.test for a, b in zip(first, second, strict=True)]
        lines += ["", f"## `{arguments.envs[0]}` minus `{arguments.envs[1]}`, paired by seed", ""]
        lines += in_words(gains, "difference of test accuracies in points", sign="+")
    keep(arguments.name or "seeds-" + "-".join(arguments.envs), lines, results)


def train(env: str, seed: int, params: Sequence[str]) -> Trained:
    """Run the stages up to the evaluation, and read their results."""
    given = ",".join([*(text.strip(", ") for text in params), f"train.seed={seed}"])
    where = [] if env == "base" else [f"--env={env}"]
    run = [sys.executable, "-m", "kedro", "run", f"--pipelines={STAGES}", f"--params={given}", "--only-missing-outputs"]
    began, started = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"), time.perf_counter()
    subprocess.run([*run, *where], cwd=ROOT, check=True)
    wall = time.perf_counter() - started
    catalog = open_context(None if env == "base" else env, None).catalog
    records = {node: open_records(catalog).of(node)[0] for node in
               ("ingest_cifar", "build_augmented_datasets", "lr_range_test", "train_resnet", "evaluate")}  # fmt: skip
    seconds = {node: float(record.about["seconds"]) for node, record in records.items()}
    metrics, history = catalog.load("metrics"), catalog.load("training_history")
    flipped = metrics.get("test_accuracy_with_flip")
    return Trained(
        seed=seed,
        lr=float(catalog.load("provenance")["model"]["lr"]),
        epochs=len(history),
        val=100 * float(history["val_accuracy"].iloc[-1]),
        test=100 * metrics["test_accuracy"],
        flipped=None if flipped is None else 100 * flipped,
        training=seconds["train_resnet"],
        stages=sum(seconds.values()),
        epochs_alone=float(catalog.load("training_timing")["epoch_seconds"].sum()),
        wall=wall if records["train_resnet"].about["started"] >= began else None,
    )


def table(rows: list[Trained]) -> list[str]:
    return [
        "| seed | learning rate | epochs | validation | test | with flip | training, s | stages, s | command, s |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        *(
            f"| {r.seed} | {r.lr:.3g} | {r.epochs} | {r.val:.2f} % | {r.test:.2f} % "
            f"| {'-' if r.flipped is None else f'{r.flipped:.2f} %'} | {' | '.join(times(r))} |"
            for r in rows
        ),
    ]


def times(row: Trained) -> list[str]:
    """Return the times of a training as text; none for a resumed training, because the part before is missing."""
    measured = ["resumed"] * 2 if row.resumed else [f"{row.training:.0f}", f"{row.stages:.0f}"]
    if row.wall is None:
        return [*measured, "found again"]
    return [*measured, "resumed" if row.resumed else f"{row.wall:.0f}"]


def spread(values: Sequence[float]) -> tuple[float, float, float, float]:
    """Return mean, standard deviation, and half-widths of the 95 % intervals of the mean and of one further seed."""
    n, mean, deviation = len(values), float(np.mean(values)), float(np.std(values, ddof=1))
    factor = float(student.ppf(0.975, n - 1)) * deviation
    return mean, deviation, factor / math.sqrt(n), factor * math.sqrt(1 + 1 / n)


def in_words(values: Sequence[float], what: str, sign: str = "") -> list[str]:
    if len(values) == 1:
        return [f"{what[0].upper()}{what[1:]}: {values[0]:{sign}.2f} (n = 1: no mean, no interval)."]
    mean, deviation, half, further = spread(values)
    return [
        f"Mean {what}: **{mean:{sign}.2f}**, standard deviation {deviation:.2f}, 95 % interval "
        f"{mean - half:{sign}.2f} to {mean + half:{sign}.2f} (n = {len(values)}); one further seed is expected within "
        f"{mean - further:{sign}.2f} to {mean + further:{sign}.2f}."
    ]


if __name__ == "__main__":
    main()
