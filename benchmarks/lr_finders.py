"""Score learning-rate finders by the accuracy that is lost by training at their rate instead of the best rate.

    python benchmarks/lr_finders.py run --cifar DIR --processes 2 --minutes 60
    python benchmarks/lr_finders.py report

A setting (lr_settings.yml) is a training task without a learning rate; it is trained at a grid of rates with several
seeds. Validation images drive the plateau. Separate *scoring* images, which neither training nor plateau nor finder
sees, are measured once, after the last epoch. Each setting also has range tests with five seeds, whose raw losses are
stored. Finders (lr_rules.py) read the stored curves, so a new finder needs no new run. A finder's regret (lr_regret.py)
is the accuracy at the best rate minus the accuracy at the finder's rate, both from one smooth curve through all
trainings of the setting.

`run` resumes where it stopped: trainings.csv and curves.csv in benchmarks/results/lr_finders/ have one row per run with
a digest of the setting's definition. No GPU is needed: each process uses one thread, `seconds` are CPU seconds, and a
training takes 3 to 45 of them. A random half of the settings is `held_out`. `report` shows these only with --all, to be
used after the design of a finder is finished.
"""

import argparse
import csv
import fcntl
import logging
import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from lr_report import report, suggestions
from lr_settings import FILE, TESTS, LrSetting, load_settings
from setting import RESULTS

NUM_RATES = 6
LOWEST, HIGHEST, FAR = 1e-4, 10.0, 0.1
COLUMNS = {
    "trainings": ["setting", "digest", "rate", "seed", "accuracy", "val_accuracy", "diverged", "seconds"],
    "curves": ["setting", "digest", "kind", "seed", "start_lr", "end_lr", "num_batches", "seconds", "losses"],
}
# Seed of trainings -> seeds of the range tests that are run before them.
TESTS_BEFORE = {0: (0, 1), 1: (2,), 2: (3, 4)}


@dataclass(frozen=True)
class Task:
    """One run: a training (``value`` is its rate) or a range test (``value`` is its kind)."""

    table: str
    setting: str
    value: float | str
    seed: int


class Results:
    """Two CSV tables in a folder with one row per finished run; each row is appended in a single write."""

    def __init__(self, folder: Path, settings: dict[str, LrSetting]) -> None:
        self._folder, self._settings = folder, settings
        folder.mkdir(parents=True, exist_ok=True)

    def table(self, name: str) -> pd.DataFrame:
        """Return the rows whose digest fits the current definition of their setting."""
        file = self._folder / f"{name}.csv"
        rows = pd.read_csv(file, dtype={"digest": str}) if file.exists() else pd.DataFrame(columns=COLUMNS[name])
        digests = {setting.name: setting.digest for setting in self._settings.values()}
        return rows[rows["digest"] == rows["setting"].map(digests)]

    def add(self, task: Task, found: dict[str, Any]) -> None:
        key = "rate" if task.table == "trainings" else "kind"
        digest = self._settings[task.setting].digest
        row = {"setting": task.setting, "digest": digest, key: task.value, "seed": task.seed, **found}
        with (self._folder / f"{task.table}.csv").open("a", newline="") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            writer = csv.DictWriter(file, COLUMNS[task.table], lineterminator="\n")
            if not file.tell():
                writer.writeheader()
            writer.writerow(row)


def rates_of(setting: LrSetting, runs: pd.DataFrame, seed: int) -> list[float]:
    """Return the grid of rates, extended by half a decade if the best mean accuracy is at its edge.

    After the first seed, rates that lose more than :data:`FAR` and are not next to the best one are left out.
    """
    first = round(2 * np.log10(setting.lowest_rate))
    last = first + NUM_RATES - 1
    means = runs.groupby("rate")["accuracy"].mean()
    while True:
        rates = [float(f"{10 ** (k / 2):.3g}") for k in range(first, last + 1)]
        if not set(rates) <= set(means.index):
            return rates
        best = means[rates].idxmax()
        if best == rates[0] and rates[0] > LOWEST:
            first -= 1
        elif best == rates[-1] and rates[-1] < HIGHEST:
            last += 1
        else:
            adjoining = rates[max(0, rates.index(best) - 1) :][:3]
            return [rate for rate in rates if not seed or rate in adjoining or means[rate] > means[best] - FAR]


def tasks(settings: list[LrSetting], results: Results, own: list[str]) -> Iterator[Task]:
    """Return all runs, the most important first: design before held-out settings, seed by seed over all settings.

    Args:
        own: finders at whose own rate (median over tests) trainings are run too.
    """
    for half in ("design", "held_out"):
        mine = [setting for setting in settings if setting.half == half]
        for seed in range(max((setting.seeds for setting in mine), default=0)):
            for test_seed in TESTS_BEFORE.get(seed, ()):
                for setting in mine:
                    yield from (Task("curves", setting.name, kind, test_seed) for kind in TESTS)
            runs = results.table("trainings")
            for setting in mine:
                if seed < setting.seeds:
                    rates = rates_of(setting, runs[runs["setting"] == setting.name], seed)
                    if own:
                        found = suggestions(setting, results.table("curves"))
                        rates += [float(f"{found[name].median():.2g}") for name in own]
                    yield from (Task("trainings", setting.name, rate, seed) for rate in dict.fromkeys(rates))


def done(results: Results) -> set[Task]:
    keys = {"trainings": "rate", "curves": "kind"}
    return {
        Task(name, *key)
        for name, value in keys.items()
        for key in results.table(name)[["setting", value, "seed"]].itertuples(index=False)
    }


def carry_out(task: Task, setting: LrSetting, cifar: str | None) -> dict[str, Any]:
    torch.set_num_threads(1)
    logging.getLogger("s10_pipeline").setLevel(logging.ERROR)
    if task.table == "curves":
        return setting.test(str(task.value), task.seed, cifar)
    return setting.train_at(float(task.value), task.seed, cifar)


def run(arguments: argparse.Namespace, settings: dict[str, LrSetting], results: Results) -> None:
    """Carry out the missing runs in ``--processes`` processes, until none is left or the time is up."""
    chosen = [settings[name] for name in arguments.settings or settings]
    end = time.monotonic() + 60 * arguments.minutes
    os.environ["OMP_NUM_THREADS"] = "1"  # for the processes that are started below
    running: dict[Future[dict[str, Any]], Task] = {}
    with ProcessPoolExecutor(arguments.processes, multiprocessing.get_context("spawn")) as pool:
        while True:
            taken = done(results) | set(running.values())
            while len(running) < arguments.processes and time.monotonic() < end:
                task = next((task for task in tasks(chosen, results, arguments.own) if task not in taken), None)
                if task is None:
                    break
                running[pool.submit(carry_out, task, settings[task.setting], arguments.cifar)] = task
                taken.add(task)
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                task, found = running.pop(future), future.result()
                results.add(task, found)
                told = {name: value for name, value in found.items() if name != "losses"}
                print(f"{task.setting} {task.value} seed {task.seed}: {told}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["run", "report"])
    parser.add_argument("--settings", nargs="+", help="names; all by default")
    parser.add_argument("--definitions", type=Path, default=FILE, help="file of settings")
    parser.add_argument("--results", type=Path, default=RESULTS / "lr_finders", help="folder of the tables")
    parser.add_argument("--cifar", metavar="DIR", help="CIFAR-10 as a folder of parquet files")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="nothing is begun after so many")
    parser.add_argument("--own", nargs="+", default=[], help="train at the own rate of these finders, too")
    parser.add_argument("--all", action="store_true", help="report held-out settings, too")
    arguments = parser.parse_args()
    settings = load_settings(arguments.definitions)
    if unknown := set(arguments.settings or ()) - set(settings):
        parser.error(f"--settings: no setting is called {sorted(unknown)[0]!r}; there are {', '.join(settings)}")
    results = Results(arguments.results, settings)
    if arguments.action == "run":
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # or the pool's processes would outlive this
        run(arguments, settings, results)
    else:
        logging.getLogger("s10_pipeline").setLevel(logging.ERROR)  # of each test that is read
        chosen = [settings[name] for name in arguments.settings or settings]
        tables = results.table("trainings"), results.table("curves")
        for half in ("design", "held_out") if arguments.all else ("design",):
            print("\n".join([f"## {half}", "", *report([s for s in chosen if s.half == half], *tables), ""]))


if __name__ == "__main__":
    main()
