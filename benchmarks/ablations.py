"""Ablation: change a recipe one part at a time, and measure the effect of each part on validation accuracy.

    python benchmarks/ablations.py base --seeds 0 1 --params ingest.source=parquet,ingest.path=DIR
    python benchmarks/ablations.py cpu --only "no annealing" "no cut-out" --params train.epochs=5,train.anneal_epochs=3

Test images are not used. The changes are in benchmarks/changes/<env>.yml (without that file, those of ``base``), the
most promising first, so that a time limit (``--minutes``) leaves out the least important ones. Prints a table and
stores it in benchmarks/results/.
"""

import argparse
import copy
import datetime
import logging
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from kedro.framework.startup import bootstrap_project

from s10_pipeline.staleness.commands.options import open_context
from s10_pipeline.vision.data.image_set import ImageSet
from s10_pipeline.vision.data.params import AugmentParams, IngestParams
from s10_pipeline.vision.data.sources import read_source
from s10_pipeline.vision.data.split import build_sets
from s10_pipeline.vision.lr_search.params import LrSearchParams
from s10_pipeline.vision.lr_search.range_test import find_learning_rate
from s10_pipeline.vision.training.checkpoints import CheckpointStore
from s10_pipeline.vision.training.data import TrainingData
from s10_pipeline.vision.training.engine import train_classifier
from s10_pipeline.vision.training.params import TrainParams
from seeds import ROOT, spread
from setting import RESULTS, add_params, command, hardware, keep, params_by_key, versions

AS_IT_IS = "the recipe as it is"
Parameters = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("env")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--only", nargs="*", help="names of changes, instead of all; none: the recipe as it is")
    add_params(parser)
    parser.add_argument("--minutes", type=float, help="no training is begun after so many")
    parser.add_argument("--data", default="the environment's own", help="what the images are, for the heading")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the page")
    arguments = parser.parse_args()
    changes = changes_of(arguments.env)
    if unknown := set(arguments.only or ()) - set(changes):
        parser.error(f"--only: no change is called {sorted(unknown)[0]!r}; there are {', '.join(changes)}")
    results = arguments.results.resolve()
    os.chdir(ROOT)  # where Kedro looks for the project
    bootstrap_project(ROOT)
    logging.getLogger("s10_pipeline").setLevel(logging.WARNING)
    env = None if arguments.env == "base" else arguments.env
    recipe = changed(open_context(env, None).config_loader["parameters"], params_by_key(arguments.params))
    images = read_source(IngestParams.model_validate(recipe["ingest"]))[0]
    started, accuracies, seconds = time.perf_counter(), {}, {}
    tried = {name: changes[name] for name in (changes if arguments.only is None else arguments.only)}
    if same := no_changes(recipe, tried):
        print(f"the recipe's own values, left out: {', '.join(same)}")
    for name in [AS_IT_IS, *(name for name in tried if name not in same)]:
        if arguments.minutes and time.perf_counter() - started > 60 * arguments.minutes:
            print(f"time is up before {name!r}")
            break
        began = time.perf_counter()
        parameters = changed(recipe, changes.get(name, {}))
        accuracies[name] = [validation_accuracy(images, parameters, seed) for seed in arguments.seeds]
        seconds[name] = (time.perf_counter() - began) / len(arguments.seeds)
        print(f"{name}: {', '.join(f'{100 * a:.2f} %' for a in accuracies[name])}", flush=True)
    lines = [
        f"# Ablations of `{arguments.env}`, {hardware()}, {datetime.date.today()}",
        "",
        f"Command: {command()}. Data: {arguments.data}, {round(recipe['augment']['val_fraction'] * len(images)):,} "
        f"validation images. n = {len(arguments.seeds)} (seeds {', '.join(map(str, arguments.seeds))}). Test images "
        "decided nothing: they were not measured.",
        versions(),
        "",
        *table(accuracies, seconds),
    ]
    keep(f"ablations-{arguments.env}", lines, results)


def changes_of(env: str) -> dict[str, Parameters]:
    """Return the changes: name -> parameters that the change sets (dotted name -> value)."""
    files = [Path(__file__).parent / "changes" / f"{name}.yml" for name in (env, "base")]
    changes: dict[str, Parameters] = yaml.safe_load(next(file for file in files if file.exists()).read_text())
    return changes


def changed(parameters: Parameters, changes: Parameters) -> Parameters:
    """Return a copy of nested parameters with the values of some dotted names replaced."""
    result = copy.deepcopy(parameters)
    for key, value in changes.items():
        *groups, last = key.split(".")
        place = result
        for group in groups:
            place = place[group]
        if last not in place:
            raise SystemExit(f"{key}: no such parameter")
        place[last] = value
    return result


def no_changes(recipe: Parameters, changes: dict[str, Parameters]) -> list[str]:
    """Return the names of changes that do not differ from the recipe."""
    return [name for name, change in changes.items() if changed(recipe, change) == recipe]


def validation_accuracy(images: ImageSet, parameters: Parameters, seed: int) -> float:
    """Train, and return the validation accuracy of the last epoch; range tests choose the rate, as in the pipeline."""
    augment = AugmentParams.model_validate(parameters["augment"])
    train = TrainParams.model_validate({**parameters["train"], "seed": seed})
    train_set, val_set, _ = build_sets(images, images, augment)
    # the engine measures test images each epoch; here the "test set" is a single validation image
    unread = replace(val_set, name="test", indices=val_set.indices[:1])
    data = TrainingData(images, images, train_set, val_set, unread)
    lr = train.lr
    if lr is None:
        lr = find_learning_rate(images, train_set, LrSearchParams.model_validate(parameters["lr_search"]), train)[1][
            "lr"
        ]
    with tempfile.TemporaryDirectory() as folder:
        history = train_classifier(data, lr, train, CheckpointStore(Path(folder))).history
    return float(history["val_accuracy"].iloc[-1])


def table(accuracies: dict[str, list[float]], seconds: dict[str, float]) -> list[str]:
    """Return a table of each change's accuracy minus that of the unchanged recipe, paired by seed."""
    lines = ["| change | validation accuracy | worth, points | s a training |", "| --- | ---: | ---: | ---: |"]
    for name, values in accuracies.items():
        gains = 100 * (np.array(values) - np.array(accuracies[AS_IT_IS]))
        worth = f"{gains.mean():+.2f}"
        if len(gains) > 1 and name != AS_IT_IS:
            half = spread(list(gains))[2]
            worth += f" ({gains.mean() - half:+.2f} to {gains.mean() + half:+.2f})"
        worth = "" if name == AS_IT_IS else worth
        lines.append(f"| {name} | {100 * np.mean(values):.2f} % | {worth} | {seconds[name]:.0f} |")
    return lines


if __name__ == "__main__":
    main()
