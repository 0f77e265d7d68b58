"""Judge a trained model and its data: each verdict states its evidence, or that there are too few images to tell.

The thresholds were set on simulated data without the fault (``benchmarks/nulls.py``): each detector of a fault raises a
false alarm in about one of 200 data sets or fewer; the check of calibration does in one of 20.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..data.image_set import MAX_RATIO
from .calibration import calibration_error_interval, temperature_interval
from .classes import class_names, probabilities
from .comparison import compare_mistakes
from .duplicates import COPY
from .groups import in_groups, independent_trials
from .intervals import LEVEL, difference, wilson
from .verdict import Verdict

# If the 95 % interval of the test accuracy, or of its difference to a constant guess, is wider than this (20 points),
# the verdict is "unknown".
WIDEST = 0.2
# A class with fewer test images than this is not judged on whether the model ever predicts it.
FEW_IMAGES = 10
# Confidence level of a difference's two-sided interval. Only one side means a fault, so false alarms occur in 1 of 200.
SHIFT_LEVEL = 0.99
# If the upper end of a difference's 99 % interval is below this (5 percentage points), the verdict is "not_found".
SHIFT = 0.05
# If over 5 % of the images have a similarity from 0.85 to below 0.91, different images of this data often look alike,
# so a similarity of 0.91 suggests no copy. This share is 36 % for handwritten digits and 1 % for CIFAR-10.
ALIKE, ALIKE_SHARE = 0.85, 0.05


def judge_accuracy(metrics: dict[str, Any]) -> Verdict:
    """State accuracy and balanced accuracy; "unknown" if the accuracy's interval is wider than 20 percentage points."""
    n, (low, high) = metrics["num_test_images"], metrics["test_accuracy_ci95"]
    told = (
        f"{metrics['test_accuracy']:.2%} of {n:,} test images{in_groups(metrics, 'test')} are classified correctly "
        f"(95% interval {_range(low, high)}); if all classes count equally, {metrics['balanced_accuracy']:.1%}"
    )
    if high - low > WIDEST:
        return Verdict("accuracy", "unknown", n, f"Cannot be told from {_images(n)}: {told}", None, low, high)
    return Verdict("accuracy", "found", n, told, metrics["test_accuracy"], low, high)


def judge_baseline(train_labels: NDArray[np.int64], test_predictions: pd.DataFrame) -> Verdict:
    """Judge whether the model is no better ("found") than always predicting the class with most training images.

    McNemar's test compares the two on the same test images. ``value`` is the model's accuracy minus that of always
    predicting this class; the verdict is "unknown" if ``value`` is above 0, but may be so by chance (p >= 0.05).
    """
    largest, n = int(np.bincount(train_labels).argmax()), len(test_predictions)
    own = test_predictions[["index", "label", "prediction"]]
    compared = compare_mistakes(own.assign(prediction=largest), own)
    value, low, high = ends = compared.difference()
    name, share = class_names(test_predictions)[largest], float((own["label"] == largest).mean())
    always = f"always predicting {name}, which is right for {share:.1%} of the test images"
    by = f"its accuracy minus that is {100 * value:+.1f} points (95% interval {100 * low:+.1f} to {100 * high:+.1f})"
    if compared.p_value < 1 - LEVEL and low > 0:
        return Verdict("baseline", "not_found", n, f"It is better than {always}", *ends)
    if value <= 0 and high - low <= WIDEST:
        return Verdict("baseline", "found", n, f"It is no better than {always}: {by}", *ends)
    told = f"Whether it is better than {always} cannot be told from {_images(n)}: {by}"
    return Verdict("baseline", "unknown", n, told, *ends)


def judge_classes(train_labels: NDArray[np.int64], class_metrics: pd.DataFrame) -> Verdict:
    """Judge whether any class has under a fifth of the largest class's training images, or is never predicted."""
    counts = np.bincount(train_labels, minlength=len(class_metrics))
    items, few, never = [], [], []
    for row, count in zip(class_metrics.to_dict("records"), counts.tolist(), strict=True):
        name, reasons = row["class_name"], []
        if MAX_RATIO * count < counts.max():
            reasons.append(f"{name} has {_images(count, 'training image')}")
            few += reasons
        if not row["predicted"] and row["support"] >= FEW_IMAGES:
            reasons.append(f"{name} is never predicted")
            never.append(name)
        if row["support"] < FEW_IMAGES:
            reasons.append(f"{name} has {_images(row['support'], 'test image')}")
        if reasons:
            recall = None if row["support"] == 0 else row["recall"]
            items.append({"class_name": name, "train_images": count, "recall": recall, "why": reasons})
    smallest, n = float(counts.min() / counts.max()), int(class_metrics["support"].sum())
    if few or never:
        told = "; ".join(
            [f"{_first(few)}, where the largest class has {counts.max():,}"] * bool(few)
            + [f"never predicted: {_first(never)}"] * bool(never)
        )
        return Verdict("class_starved", "found", n, told, smallest, items=items)
    if items:
        told = f"Cannot be told for each class: {_first([reason for item in items for reason in item['why']])}"
        return Verdict("class_starved", "unknown", n, told, smallest, items=items)
    told = f"No class has less than a fifth of the largest one's {counts.max():,} training images"
    return Verdict("class_starved", "not_found", n, told, smallest)


def judge_shortcut(shortcut_probe: pd.DataFrame, provenance: dict[str, Any]) -> Verdict:
    """Judge whether adding a planted tag to test images makes the model predict the class that was trained with it."""
    if not len(shortcut_probe):
        return Verdict("shortcut", "unknown", 0, "Not looked for: the data names no mark that training images carry")
    name = provenance["data"]["train"]["planted"]["class_name"]
    others = shortcut_probe[(shortcut_probe["class_name"] != name) & (shortcut_probe["num_images"] > 0)]
    n = int(others["num_images"].sum())
    taken = [round(float((others[c] * others["num_images"]).sum())) for c in ("taken_tagged", "taken")]
    value, low, high = difference((taken[0], n), (taken[1], n), SHIFT_LEVEL)
    told = f"with the tag of {name}, the share of other test images predicted as {name} rises by {100 * value:.1f} "
    told += f"points (99% interval {100 * low:.1f} to {100 * high:.1f})"
    return _differing("shortcut", n, told, (value, low, high), [{"class_name": name}])


def judge_duplicates(near_duplicates: pd.DataFrame, metrics: dict[str, Any]) -> Verdict:
    """Judge which test and validation images look like a copy of a training image.

    "unknown" if many images of this data look alike without being copies, as handwritten digits do.
    """
    n = metrics["num_test_images"] + metrics["num_val_images"]
    if "num_near_duplicates" not in metrics:
        return Verdict("near_duplicates", "unknown", 0, "Not looked for (evaluate.duplicate_similarity=null)")
    columns = ["split", "index", "train_index", "similarity", "mirrored"]
    items = near_duplicates.loc[near_duplicates["similarity"] >= COPY, columns].to_dict("records")
    counts = {split: sum(item["split"] == split for item in items) for split in ("test", "val")}
    low, high = wilson(len(items), n)
    if items:
        number = " and ".join((_images(counts["test"], "test image"), _images(counts["val"], "validation image")))
        told = f"Look like copies of training images (similarity of at least {COPY}): {number}"
        if (nearly := int(near_duplicates["similarity"].between(ALIKE, COPY, "left").sum())) > ALIKE_SHARE * n:
            told = "Cannot be told, because many images of this data look alike: the similarity to a training image "
            told += f"is {ALIKE} to {COPY} for {_images(nearly)}, and at least {COPY} for {number}"
            return Verdict("near_duplicates", "unknown", n, told, len(items) / n, low, high)
        if (rest := metrics["test_accuracy_without_near_duplicates"]) is not None and counts["test"]:
            alike = _images(metrics["num_near_duplicates"], "test image")
            told += f"; without the {alike} most like a training image, the accuracy is {rest:.2%}"
        return Verdict("near_duplicates", "found", n, told, len(items) / n, low, high, items)
    told = f"None of {n:,} test and validation images looks like a copy of a training image"
    if len(near_duplicates):
        told += f"; {_images(len(near_duplicates))} may be, or may look alike by chance"
    verdict: Literal["unknown", "not_found"] = "unknown" if len(near_duplicates) else "not_found"
    return Verdict("near_duplicates", verdict, n, told, 0.0, low, high)


def judge_shift(metrics: dict[str, Any]) -> Verdict:
    """Judge whether the model is worse on test images than on validation images, which resemble the training images."""
    sizes, grouped = (metrics["num_val_images"], metrics["num_test_images"]), in_groups(metrics, "val", "test")
    value, low, high = difference(independent_trials(metrics, "val"), independent_trials(metrics, "test"), SHIFT_LEVEL)
    told = (
        f"accuracy on validation images minus that on test images is {100 * value:+.1f} points (99% interval "
        f"{100 * low:+.1f} to {100 * high:+.1f}; {sizes[0]:,} and {sizes[1]:,} images{grouped})"
    )
    return _differing("train_test_shift", sum(sizes), told, (value, low, high))


def judge_calibration(metrics: dict[str, Any], test_predictions: pd.DataFrame, num_bins: int) -> Verdict:
    """Judge whether the model's confidence is too high or too low, by the temperature that fits the test images best.

    The temperature that the report offers as a remedy is fitted on validation images instead.
    """
    p_nk, labels = probabilities(test_predictions), test_predictions["label"].to_numpy()
    n = len(labels)
    value, low, high = temperature_interval(p_nk, labels)
    ece_low, ece_high, usual = calibration_error_interval(p_nk, labels, num_bins)
    told = (
        f"a temperature of {value:.2f} would fit these images best (95% interval {low:.2f} to {high:.2f}; 1 is "
        f"calibrated); the calibration error is {metrics['ece']:.1%} (95% interval {_range(ece_low, ece_high)}), where "
        f"chance alone gives a calibrated model {usual:.1%} on {_images(n)}"
    )
    items = [{"ece": metrics["ece"], "low": ece_low, "high": ece_high, "of_a_calibrated_model": usual}]
    if low <= 1 <= high:
        sentence = f"Whether its confidence is too high or too low cannot be told from {_images(n)}: {told}"
        return Verdict("calibration", "unknown", n, sentence, value, low, high, items)
    confidence, accuracy = float(p_nk.max(1).mean()), float((p_nk.argmax(1) == labels).mean())
    words = "Overconfident: more confident" if value > 1 else "Underconfident: less confident"
    words += " than accurate"
    if (confidence > accuracy) != (value > 1):
        words = "Overconfident: too sure of its mistakes" if value > 1 else "Underconfident: too unsure when right"
        words += f", although its mean confidence is {confidence:.1%} and its accuracy {accuracy:.1%}"
    return Verdict("calibration", "found", n, f"{words}; {told}", value, low, high, items)


def judge_schedule(provenance: dict[str, Any]) -> Verdict:
    """State what lowered the learning rate, from the reasons that the training history recorded."""
    schedule = provenance["schedule"]
    decided, drops = schedule["decided_by"], [str(drop["epoch"]) for drop in schedule["drops"]]
    n = provenance["train"].get("epochs", 0)
    sentences = list(schedule["falls"])
    if drops:
        sentences.insert(0, f"The rate dropped after epoch{'s' if len(drops) > 1 else ''} {', '.join(drops)} of {n}")
    if not decided:
        return Verdict("decided_schedule", "not_found", 0, f"Nothing. The rate never dropped in {n} epochs", 0.0)
    sentence = f"{', then '.join(decided).capitalize()}. {'. '.join(sentences)}"
    return Verdict("decided_schedule", "found", 0, sentence, float(len(drops)), items=decided)


def _differing(kind: str, n: int, told: str, ends: tuple[float, float, float], items: Sequence[Any] = ()) -> Verdict:
    """Judge a difference: "found" if its interval starts above 0, "not_found" if it ends below 0.05, else "unknown"."""
    value, low, high = ends
    if low > 0:
        return Verdict(kind, "found", n, f"Found: {told}", value, low, high, items)
    if high < SHIFT:
        return Verdict(kind, "not_found", n, f"Not found: {told}", value, low, high)
    return Verdict(kind, "unknown", n, f"Cannot be told: {told}", value, low, high)


def _first(texts: Iterable[str], most: int = 3) -> str:
    texts = list(texts)
    return ", ".join(texts[:most]) + (f" and {len(texts) - most} more" if len(texts) > most else "")


def _images(number: int, what: str = "image") -> str:
    return f"{number:,} {what}{'s' if number != 1 else ''}"


def _range(low: float, high: float) -> str:
    return f"{low:.1%} to {high:.1%}"
