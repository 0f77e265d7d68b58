"""Plant faults into the data, train on it, and count how often the verdicts find them.

    python benchmarks/audit.py --seeds 0 1 2
    python benchmarks/audit.py --faults clean leak --seeds 0 --minutes 10 --params train.epochs=2

Each run is the ordinary pipeline in its own folder. Finished runs are not repeated, so an audit that was interrupted or
ended by --minutes resumes where it stopped. Writes a page to benchmarks/results/.
"""

import argparse
import datetime
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from kedro.framework.startup import bootstrap_project

from s10_pipeline.staleness.commands.options import open_context
from s10_pipeline.vision.evaluation.intervals import wilson
from s10_pipeline.vision.evaluation.verdict import FAULTS as KINDS
from setting import RESULTS, add_params, command, hardware, keep, versions

ROOT = Path(__file__).parent.parent
STAGES = "data,lr_search,training,evaluation"
# Faults that concern copies, which are found by their pixels, without training.
ONE_EPOCH = "train.epochs=1,train.warmup_epochs=0,train.anneal_epochs=0"

# The items that a verdict should list: indices of images in a split, or a class.
Truth = set[tuple[str, int]] | set[str]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", nargs="+", default=list(FAULTS), choices=list(FAULTS), help="which (all)")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(10)), help="of data and training (ten)")
    parser.add_argument("--minutes", type=float, default=120, help="after these no run is started (120)")
    parser.add_argument("--jobs", type=int, default=2, help="runs at once, of one thread each (2)")
    parser.add_argument("--env", default="sample", help="environment whose recipe is trained (sample)")
    parser.add_argument("--class", dest="name", default="heart", help="class of the faults of a class (heart)")
    parser.add_argument("--scratch", type=Path, default=ROOT / "data/audit", help="folder of the runs")
    add_params(parser)
    parser.add_argument("--data", default="drawn data", help="what the images are, for the heading")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the page")
    arguments = parser.parse_args()
    deadline = time.monotonic() + 60 * arguments.minutes
    scratch, results = arguments.scratch.resolve(), arguments.results.resolve()
    os.chdir(ROOT)  # where Kedro looks for the project
    bootstrap_project(ROOT)

    def finish(run: tuple[str, int]) -> bool:
        fault, seed = run
        folder = scratch / fault.replace(" ", "-") / str(seed)
        if not (folder / "done").exists() and time.monotonic() < deadline:
            train(folder, fault, seed, arguments)
        return bool((folder / "done").exists())

    # the outer loop is over seeds, so that each fault has been tried whenever the audit ends
    runs = [(fault, seed) for seed in arguments.seeds for fault in arguments.faults]
    with ThreadPoolExecutor(arguments.jobs) as pool:
        finished = [run for run, done in zip(runs, pool.map(finish, runs), strict=True) if done]
    told: dict[str, list[dict[str, Any]]] = {fault: [] for fault in arguments.faults}
    for fault, seed in finished:
        told[fault].append(read(scratch / fault.replace(" ", "-") / str(seed), fault, arguments.env))
    lines = [
        f"# What the verdicts find of planted faults, {arguments.data}, {hardware()}, {datetime.date.today()}",
        "",
        f"Command: {command()}. {len(finished)} of {len(runs)} runs. Intervals: Wilson, 95 %, over runs or images.",
        versions(),
        "",
        *page(told),
    ]
    keep("audit", lines, results)


def train(folder: Path, fault: str, seed: int, arguments: argparse.Namespace) -> None:
    """Run the pipeline up to the verdicts, in a separate folder."""
    plant, kind, _ = FAULTS[fault]
    seeds, last = f"ingest.seed={seed},train.seed={seed}", ONE_EPOCH if kind == "near_duplicates" else ""
    given = ",".join(filter(None, [seeds, plant.format(arguments.name), *arguments.params, last]))
    run = [sys.executable, "-m", "kedro", "run", f"--env={arguments.env}", f"--pipelines={STAGES}", f"--params={given}"]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "log").open("w") as log:
        environment = {**os.environ, "S10_DATA_ROOT": str(folder), "OMP_NUM_THREADS": "1"}
        subprocess.run([*run, "--only-missing-outputs"], cwd=ROOT, env=environment, stdout=log, stderr=log, check=True)
    (folder / "done").touch()


def read(folder: Path, fault: str, env: str) -> dict[str, Any]:
    """Return the verdicts of a run by kind, with the planted and the listed items."""
    os.environ["S10_DATA_ROOT"] = str(folder)
    catalog = open_context(env, None).catalog
    verdicts = {verdict["kind"]: verdict for verdict in catalog.load("verdicts")}
    _, kind, truth_of = FAULTS[fault]
    items = verdicts[kind]["items"] if kind else []
    listed = {item.get("class_name") or (item["split"], item["index"]) for item in items}
    return {
        "verdicts": verdicts,
        "truth": truth_of(catalog) if truth_of else set(),
        "listed": listed,
        "candidates": len(catalog.load("label_error_candidates")),
        "accuracy": catalog.load("metrics")["test_accuracy"],
    }


def planted_in(split: str) -> Callable[[Any], Truth]:
    """Return the indices of images in a split that the fault affects, as the source recorded them."""

    def truth(catalog: Any) -> Truth:
        rows = next(iter(catalog.load(f"{split}_images").source["faults"].values()))
        return {(split, row) for row in rows}

    return truth


def wrong_labels(catalog: Any) -> Truth:
    """Return the images of all three sets whose label was changed."""
    held_out = set(catalog.load("val_set").indices.tolist())
    train = next(iter(catalog.load("train_images").source["faults"].values()))
    return {("val" if row in held_out else "train", row) for row in train} | planted_in("test")(catalog)


def torn_pairs(catalog: Any) -> Truth:
    """Return validation images whose copy is in the training set; the split separates about one in five pairs."""
    images, train, val = (catalog.load(name) for name in ("train_images", "train_set", "val_set"))
    rows = set(next(iter(images.source["faults"].values())))
    trained_on = {images.images_nhwc[row].tobytes() for row in rows & set(train.indices.tolist())}
    return {("val", row) for row in rows & set(val.indices.tolist()) if images.images_nhwc[row].tobytes() in trained_on}


def starved(catalog: Any) -> Truth:
    """Return the class that was left with few training images."""
    (fault,) = catalog.load("train_images").source["faults"]
    return {fault.split(":")[1]}


def tagged(catalog: Any) -> Truth:
    """Return the class whose training images have the tag."""
    return {catalog.load("train_images").source["planted"]["class_name"]}


def page(told: dict[str, list[dict[str, Any]]]) -> list[str]:
    lines = [
        "| fault | verdict | found in | 95 % interval | recall of what was planted | precision of what is listed | "
        "mean test accuracy |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for fault, runs in told.items():
        kind = FAULTS[fault][1]
        if not kind or not runs:
            continue
        found = sum(run["verdicts"][kind]["verdict"] == "found" for run in runs)
        hits = sum(len(run["truth"] & run["listed"]) for run in runs)
        planted, listed = (sum(len(run[name]) for run in runs) for name in ("truth", "listed"))
        low, high = wilson(found, len(runs))
        lines.append(
            f"| {FAULTS[fault][0].format('CLASS')} | {kind} | {found} of {len(runs)} | {low:.0%} to {high:.0%} | "
            f"{share(hits, planted)} | {share(hits, listed)} | "
            f"{sum(run['accuracy'] for run in runs) / len(runs):.1%} |"
        )
    lines += [
        "",
        "Near-duplicates are found by their pixels, so those models trained one epoch. What is found in the others:",
        "",
    ]
    lines += ["| fault | " + " | ".join(KINDS) + " |", "| --- |" + " ---: |" * len(KINDS)]
    for fault, runs in told.items():
        counts = [sum(run["verdicts"][kind]["verdict"] == "found" for run in runs) for kind in KINDS]
        own = FAULTS[fault][1]
        if own == "near_duplicates" or not runs:
            continue
        cells = ["planted" if kind == own else str(count) for kind, count in zip(KINDS, counts, strict=True)]
        lines += [f"| {FAULTS[fault][0].format('CLASS') or fault} | {' | '.join(cells)} |"]
    clean = told.get("clean", [])
    if clean:
        lines += ["", f"On {len(clean)} data sets without a fault:", "", "| verdict | false alarms |", "| --- | ---: |"]
        for kind in KINDS:
            found = sum(run["verdicts"][kind]["verdict"] == "found" for run in clean)
            lines.append(f"| {kind} | {share(found, len(clean))} |")
        listed = sum(run["candidates"] for run in clean)
        images = sum(run["verdicts"]["label_errors"]["n"] for run in clean)
        lines += ["", f"Candidates for wrong labels on clean data: {share(listed, images)} images."]
    return lines


def share(part: int, whole: int) -> str:
    if not whole:
        return "-"
    low, high = wilson(part, whole)
    return f"{part:,} of {whole:,} ({low:.1%} to {high:.1%})"


# Name -> parameters that plant the fault, kind of the verdict that should find it, items that it should list.
FAULTS: dict[str, tuple[str, str | None, Callable[[Any], Truth] | None]] = {
    "clean": ("", None, None),
    "labels": ("ingest.plant=labels:0.05", "label_errors", wrong_labels),
    "labels similar": ("ingest.plant=labels_similar:0.05", "label_errors", wrong_labels),
    "leak": ("ingest.plant=leak:20", "near_duplicates", planted_in("test")),
    "leak reencoded": ("ingest.plant=leak:20:reencoded", "near_duplicates", planted_in("test")),
    "leak flipped": ("ingest.plant=leak:20:flipped", "near_duplicates", planted_in("test")),
    "leak cropped": ("ingest.plant=leak:20:cropped", "near_duplicates", planted_in("test")),
    "duplicates": ("ingest.plant=duplicates:100", "near_duplicates", torn_pairs),
    "starve": ("ingest.plant=starve:{}:40", "class_starved", starved),
    "shift blur": ("ingest.plant=shift:blur", "train_test_shift", None),
    "shift brightness": ("ingest.plant=shift:brightness", "train_test_shift", None),
    "shortcut": ("ingest.shortcut={}", "shortcut", tagged),
}


if __name__ == "__main__":
    main()
