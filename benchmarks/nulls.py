"""Measure how often the fault detectors raise a false alarm on simulated data, and how often they find a known fault.

    python benchmarks/nulls.py

Predictions are drawn at random, without training. For a calibrated model, labels are drawn from its own probabilities;
for an overconfident one, its logits are then multiplied by T. Takes a few minutes on one core. Writes a page to
benchmarks/results/.
"""

import datetime

import numpy as np
import pandas as pd
import torch
from scipy.optimize import brentq
from scipy.special import log_softmax, softmax

from s10_pipeline.vision.data.image_set import ImageSet
from s10_pipeline.vision.data.params import IngestParams
from s10_pipeline.vision.data.sources import read_source
from s10_pipeline.vision.evaluation.calibration import temperature_interval
from s10_pipeline.vision.evaluation.duplicates import find_copies
from s10_pipeline.vision.evaluation.intervals import wilson
from s10_pipeline.vision.evaluation.judge import judge_baseline, judge_classes, judge_shift
from s10_pipeline.vision.evaluation.label_errors import find_label_errors, judge_labels
from s10_pipeline.vision.explain.faithfulness import crossed_mean
from s10_pipeline.vision.training.margins import margins_of
from setting import hardware, keep, versions

NUM_CLASSES = 10
Model = tuple[np.ndarray, np.ndarray]


def scale_of(accuracy: float) -> float:
    """Return the factor of normal logits at which a calibrated model has this accuracy."""
    logits = np.random.default_rng(0).normal(size=(20_000, NUM_CLASSES))
    return float(brentq(lambda scale: softmax(scale * logits, axis=1).max(1).mean() - accuracy, 0.1, 50))


def draw(rng: np.random.Generator, scale: float, n: int, temperature: float = 1.0) -> Model:
    """Draw probabilities (N, K) of a model that is overconfident by ``temperature``, and labels."""
    logits = scale * rng.normal(size=(n, NUM_CLASSES))
    cumulative = softmax(logits, axis=1).cumsum(1)
    labels = (rng.random((n, 1)) > cumulative).sum(1).clip(0, NUM_CLASSES - 1)
    return softmax(temperature * logits, axis=1), labels


def table_of(p_nk: np.ndarray, labels: np.ndarray) -> pd.DataFrame:
    table = pd.DataFrame({"index": np.arange(len(labels)), "label": labels, "prediction": p_nk.argmax(1)})
    return pd.concat([table, pd.DataFrame(p_nk, columns=[f"p_class {k}" for k in range(NUM_CLASSES)])], axis=1)


def excludes_one(rng: np.random.Generator, scale: float, n: int, temperature: float) -> bool:
    _, low, high = temperature_interval(*draw(rng, scale, n, temperature))
    return not low <= 1 <= high


def most_powerful(rng: np.random.Generator, scale: float, n: int, temperature: float, level: float) -> bool:
    """Return whether a test that knows the temperature beforehand can tell the model from a calibrated one.

    The likelihood ratio of the two temperatures is the most powerful test of its level (Neyman and Pearson 1933): no
    interval that does not know the temperature finds more. Its null is drawn for these very outputs.
    """
    p_nk, labels = draw(rng, scale, n, temperature)
    ratio_nk = log_softmax(np.log(p_nk) / temperature, axis=1) - np.log(p_nk)
    drawn = (rng.random((300, n, 1)) > p_nk.cumsum(1)).sum(2).clip(0, NUM_CLASSES - 1)
    images = np.arange(n)
    return bool(ratio_nk[images, labels].sum() > np.quantile(ratio_nk[images, drawn].sum(1), 1 - level))


def shifts(rng: np.random.Generator, accuracy: float, num_val: int, num_test: int) -> bool:
    metrics = {"num_val_images": num_val, "num_test_images": num_test}
    for split, n in (("val", num_val), ("test", num_test)):
        metrics[f"{split}_accuracy"] = rng.binomial(n, accuracy) / n
    return judge_shift(metrics).verdict == "found"


def alarms(rng: np.random.Generator, scale: float, n: int) -> dict[str, bool]:
    """Return the faults found in a data set without faults: 4,000 training, n test and 400 validation images."""
    p_nk, labels = draw(rng, scale, n)
    validation, val_labels = draw(rng, scale, 400)
    table, right = table_of(p_nk, labels), float((p_nk.argmax(1) == labels).mean())
    metrics = {"test_accuracy": right, "num_test_images": n, "num_val_images": 400}
    metrics["val_accuracy"] = float((validation.argmax(1) == val_labels).mean())
    by_class = [np.bincount(of, minlength=NUM_CLASSES) for of in (labels, p_nk.argmax(1))]
    names = tuple(map(str, range(NUM_CLASSES)))
    counts = pd.DataFrame({"class_name": names, "support": by_class[0], "predicted": by_class[1]})
    counts["recall"] = np.nan
    train_labels = rng.integers(0, NUM_CLASSES, 4000)
    margin = margins_of(torch.from_numpy(np.log(p_nk)), torch.from_numpy(labels))
    margins = pd.DataFrame({"split": "test", "index": np.arange(n), "margin": margin})
    images = ImageSet(np.zeros((n, 1, 1, 3), np.uint8), labels, names, None, {})
    suspicious = find_label_errors(margins, images, images, lambda _, rows: p_nk[rows])
    verdicts = [
        judge_labels(suspicious, margins, counts, metrics),
        judge_shift(metrics),
        judge_baseline(train_labels, table),
        judge_classes(train_labels, counts),
    ]
    return {verdict.kind: verdict.verdict == "found" for verdict in verdicts}


def baseline_of(rng: np.random.Generator, share: float, rare_right: float, common_wrong: float) -> str:
    """Return the verdict on a model of two unequal classes, 400 test images and the given shares of right and wrong."""
    labels, drawn = (rng.random(400) > share).astype(int), rng.random(400)
    predictions = (drawn < np.where(labels == 1, rare_right, common_wrong)).astype(int)
    table = pd.DataFrame({"index": np.arange(400), "label": labels, "prediction": predictions, "p_0": 0.5, "p_1": 0.5})
    return judge_baseline(np.zeros(1, int), table).verdict


def chance_similarities(num_sets: int) -> np.ndarray:
    """Return, for each test image of drawn sets without copies, the similarity of the most similar training image."""
    best = []
    for seed in range(num_sets):
        train, test = read_source(IngestParams(source="shapes10", seed=1000 + seed))
        rows = (np.arange(len(train)), np.arange(len(test)))
        best.append(find_copies(train, rows[0], test, rows[1], 0.5)["similarity"].to_numpy())
    return np.concatenate(best)


def trusts(rng: np.random.Generator) -> bool:
    """Return whether maps are judged better than controls although no map fits its own image better than another's.

    Some maps fit all images better than other maps do.
    """
    quality, noise = rng.exponential(size=100), rng.normal(size=(100, 8))
    others = np.stack([np.roll(quality, -d) for d in range(1, 9)], axis=1)
    return bool(crossed_mean(quality[:, None] - others + noise)[1] > 0)


def share(found: list[bool]) -> str:
    low, high = wilson(sum(found), len(found))
    return f"{sum(found):,} of {len(found):,} | {low:.1%} to {high:.1%}"


def main() -> None:
    rng = np.random.default_rng(0)
    lines = [
        f"# Detectors on simulated data, {hardware()}, {datetime.date.today()}",
        "",
        "Command: `python benchmarks/nulls.py`. Intervals: Wilson, 95 %. " + versions(),
        "",
        "## Calibration: the temperature's interval excludes 1",
        "",
        "| accuracy | images | T | verdicts | 95 % interval |",
        "| ---: | ---: | ---: | ---: | ---: |",
    ]
    for accuracy in (0.6, 0.8, 0.9):
        scale = scale_of(accuracy)
        for n, temperature, number in ((400, 1.0, 1000), (400, 1.3, 1000), (10_000, 1.0, 1000), (10_000, 1.1, 200)):
            found = [excludes_one(rng, scale, n, temperature) for _ in range(number)]
            lines.append(f"| {accuracy:.0%} | {n:,} | {temperature} | {share(found)} |")
    lines += [
        "",
        "What the most powerful test finds at T = 1.3 and 400 images, which knows the temperature beforehand:",
        "",
        "| accuracy | false alarms allowed | found | 95 % interval |",
        "| ---: | ---: | ---: | ---: |",
    ]
    for accuracy in (0.6, 0.8, 0.9):
        for level in (0.05, 0.07):
            found = [most_powerful(rng, scale_of(accuracy), 400, 1.3, level) for _ in range(1000)]
            lines.append(f"| {accuracy:.0%} | {level:.0%} | {share(found)} |")
    lines += [
        "",
        "## False alarms on data without a fault",
        "",
        "| verdict | accuracy | test images | found | 95 % interval |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for accuracy, n in ((0.6, 400), (0.6, 1000), (0.9, 1000)):
        scale = scale_of(accuracy)
        rows = [alarms(rng, scale, n) for _ in range(1000)]
        for kind in rows[0]:
            lines.append(f"| {kind} | {accuracy:.0%} | {n:,} | {share([row[kind] for row in rows])} |")
    lines.append(f"| cam_trust | | 100 | {share([trusts(rng) for _ in range(1000)])} |")
    lines += ["", "Of train_test_shift alone, more draws:", ""]
    lines += ["| accuracy | validation images | test images | found | 95 % interval |", "| ---: " * 5 + "|"]
    for accuracy, *sizes in ((0.6, 400, 1000), (0.9, 400, 1000), (0.95, 400, 1000), (0.9, 5000, 10_000)):
        found = [shifts(rng, accuracy, *sizes) for _ in range(20_000)]
        lines.append(f"| {accuracy:.0%} | {sizes[0]:,} | {sizes[1]:,} | {share(found)} |")
    lines += ["", "Of baseline, two unequal classes, 400 test images, 1,000 draws:", ""]
    lines += ["| larger class | right of the smaller | wrong of the larger | gain | found | unknown | not_found |"]
    lines += ["| ---: " * 7 + "|"]
    for shares in ((0.95, 0.6, 0.005), (0.9, 0.5, 0.01), (0.95, 0.3, 0.02), (0.9, 0.09, 0.01), (0.95, 0.0, 0.0)):
        told = [baseline_of(rng, *shares) for _ in range(1000)]
        gain = (1 - shares[0]) * shares[1] - shares[0] * shares[2]
        counts = " | ".join(f"{told.count(verdict):,}" for verdict in ("found", "unknown", "not_found"))
        lines.append(f"| {' | '.join(f'{value:.1%}' for value in shares)} | {gain:+.2%} | {counts} |")
    similarity = chance_similarities(8)
    lines += [
        "",
        "## Near-duplicates: 8 drawn sets of 4,000 and 1,000 images without a copy",
        "",
        f"Highest similarity to any training image, over 8,000 test images: {similarity.max():.3f}; "
        f"{(similarity >= 0.85).sum()} reach 0.85, the default of `evaluate.duplicate_similarity`.",
    ]
    keep("nulls", lines)


if __name__ == "__main__":
    main()
