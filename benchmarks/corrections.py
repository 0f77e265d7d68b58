"""Plant wrong labels, correct all wrong ones that the report lists, train again, and compare accuracies.

    python benchmarks/corrections.py --shares 0.1 0.01 --seeds 0 1 2

Each run is the ordinary pipeline on drawn images, in its own folder; finished stages are not repeated. The simulated
reviewer corrects the training and validation images that the report lists, and knows their true labels. Accuracy is
measured with the true test labels, not the planted ones. Writes a page to benchmarks/results/.
"""

import argparse
import csv
import datetime
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
from kedro.framework.startup import bootstrap_project

from s10_pipeline.staleness.commands.options import open_context
from s10_pipeline.vision.data.corrections import COLUMNS, pixels_sha256
from s10_pipeline.vision.data.params import IngestParams
from s10_pipeline.vision.data.sources import read_source
from s10_pipeline.vision.evaluation.comparison import McNemar, compare_mistakes
from s10_pipeline.vision.report.examples import NUM_TO_CORRECT
from seeds import in_words
from setting import RESULTS, add_params, command, hardware, keep, versions

ROOT = Path(__file__).parent.parent
NUM_TRAIN = 2000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shares", type=float, nargs="+", default=[0.1, 0.01], help="wrong labels (0.1 0.01)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="seeds of data and training (0 1 2)")
    add_params(parser)
    parser.add_argument("--scratch", type=Path, default=ROOT / "data/corrections", help="folder of the runs")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the page")
    arguments = parser.parse_args()
    scratch, results = arguments.scratch.resolve(), arguments.results.resolve()
    os.chdir(ROOT)  # where Kedro looks for the project
    bootstrap_project(ROOT)
    more = ",".join(["", *arguments.params])
    pairs = {
        (share, seed): measure(scratch, share, seed, more) for seed in arguments.seeds for share in arguments.shares
    }
    lines = [
        f"# What correcting the listed labels brings, drawn data, {hardware()}, {datetime.date.today()}",
        "",
        f"Command: {command()}. Recipe `sample` on {NUM_TRAIN:,} training images, of which a share has a wrong label.",
        "Listed: training and validation images. Accuracies are on clean test labels; intervals 95 %, paired images.",
        versions(),
        "",
        "| wrong | seed | listed | of them wrong | recall | precision | accuracy before | after | McNemar's p |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    told = []
    for share in arguments.shares:
        ours = [pairs[share, seed] for seed in arguments.seeds]
        pooled = {name: sum(pair[name] for pair in ours) for name in ("wrong", "listed", "hits")}
        pooled |= {name: pd.concat([pair[name] for pair in ours], ignore_index=True) for name in ("before", "after")}
        lines += [
            row(name, pair) for name, pair in [*zip(map(str, arguments.seeds), ours, strict=True), ("all", pooled)]
        ]
        gains = [100 * (accuracy(pair["after"]) - accuracy(pair["before"])) for pair in ours]
        told += [
            f"- {share:.0%} wrong, these models on these images, A before and B after: {compared(pooled).in_words()}.",
            f"- {share:.0%} wrong, seeds of data and training: {in_words(gains, 'gain in points', '+')[0]}",
        ]
    lines += ["", *told]
    keep("corrections", lines, results)


def measure(scratch: Path, share: float, seed: int, more: str) -> dict[str, Any]:
    """Train, correct, train again; return both prediction tables with true labels, and counts of wrong labels."""
    folder = scratch / f"{share:g}" / str(seed)
    before = train(folder / "before", share, seed, more)
    drawn = {"source": "shapes10", "seed": seed, "shapes10": {"num_train_images": NUM_TRAIN}}
    true_train, true_test = read_source(IngestParams.model_validate(drawn))
    images, candidates = before["train_images"], before["label_error_candidates"]
    listed = candidates[candidates["split"] != "test"].head(NUM_TO_CORRECT)
    is_wrong = images.labels != true_train.labels
    with (folder / "corrections.csv").open("w", newline="") as file:
        file.write(f"# {images.source['checksum']}\n")
        rows = csv.writer(file)
        rows.writerow(COLUMNS)
        for split, index in zip(listed["split"], listed["index"], strict=True):
            choice = ["relabel", images.class_names[true_train.labels[index]]] if is_wrong[index] else ["keep", ""]
            rows.writerow([split, index, "", pixels_sha256(images.images_nhwc[index]), *choice])
    after = train(folder / "after", share, seed, f"{more},ingest.corrections={folder / 'corrections.csv'}")
    tables = {"before": before["test_predictions"], "after": after["test_predictions"]}
    clean = {name: table.assign(label=true_test.labels[table["index"]]) for name, table in tables.items()}
    return {"wrong": is_wrong.sum(), "listed": len(listed), "hits": is_wrong[listed["index"]].sum(), **clean}


def train(folder: Path, share: float, seed: int, more: str) -> Any:
    """Run the pipeline up to the evaluation; return the artifacts that :func:`measure` reads, by name."""
    given = f"ingest.seed={seed},train.seed={seed},ingest.plant=labels:{share:g}{more}"
    run = [sys.executable, "-m", "kedro", "run", "--env=sample", "--pipelines=data,lr_search,training,evaluation"]
    run += [f"--params=ingest.shapes10.num_train_images={NUM_TRAIN},{given}", "--only-missing-outputs"]
    folder.mkdir(parents=True, exist_ok=True)
    os.environ |= {"S10_DATA_ROOT": str(folder), "OMP_NUM_THREADS": "1"}
    with (folder / "log").open("w") as log:
        subprocess.run(run, cwd=ROOT, stdout=log, stderr=log, check=True)
    catalog = open_context("sample", None).catalog
    names = ("train_images", "label_error_candidates", "test_predictions")
    return {name: catalog.load(name) for name in names}


def compared(pair: dict[str, Any]) -> McNemar:
    tables = (pair[side].reset_index(drop=True) for side in ("before", "after"))
    return compare_mistakes(*(table.assign(index=table.index) for table in tables))


def accuracy(predictions: pd.DataFrame) -> float:
    return float((predictions["label"] == predictions["prediction"]).mean())


def row(name: str, pair: dict[str, Any]) -> str:
    before, after = (f"{accuracy(pair[side]):.2%}" for side in ("before", "after"))
    wrong, listed, hits = (int(pair[count]) for count in ("wrong", "listed", "hits"))
    shares = f"{hits / wrong:.0%} | {hits / max(listed, 1):.0%}"
    return f"| {wrong} | {name} | {listed} | {hits} | {shares} | {before} | {after} | {compared(pair).p_value:.3g} |"


if __name__ == "__main__":
    main()
