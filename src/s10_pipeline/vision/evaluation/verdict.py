"""Verdicts: each answers one question about a trained model or its data; "unknown" if the evidence is too weak."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

# Each kind of verdict with its name for people, in the order of display.
KINDS = {
    "accuracy": "accuracy",
    "baseline": "a model no better than a constant guess",
    "class_starved": "classes with few images or never predicted",
    "shortcut": "planted shortcut",
    "near_duplicates": "apparent copies of training images",
    "train_test_shift": "test images unlike the training images",
    "label_errors": "wrong labels",
    "calibration": "calibration",
    "cam_trust": "trust in the maps",
    "decided_schedule": "schedule",
}
# Kinds of verdict that report a fault of the data or of the model if "found". Poor calibration is not listed: in 19 of
# 20 trainings on faultless images drawn by the program, the model was measurably over- or underconfident.
FAULTS = ("baseline", "class_starved", "shortcut", "near_duplicates", "train_test_shift", "label_errors")


@dataclass(frozen=True)
class Verdict:
    """Verdict: the answer to one question about a model or its data, with the evidence for it.

    Attributes:
        kind: a key of :data:`KINDS`.
        verdict: whether the property that ``kind`` names was found; ``unknown`` if the evidence does not suffice.
        n: number of images that were examined.
        sentence: the verdict for people, with its evidence.
        value: the measured figure that decides.
        low, high: ends of the interval of ``value``, 95 % unless the sentence says otherwise.
        items: images, classes or figures concerned, in a form that JSON can store.
    """

    kind: str
    verdict: Literal["found", "not_found", "unknown"]
    n: int
    sentence: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    items: Sequence[Any] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return the verdict as a dictionary that JSON can store."""
        return {**asdict(self), "items": list(self.items)}


def in_order(verdicts: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the stored verdicts as a dictionary from kind to verdict, in the order of :data:`KINDS`."""
    return {v["kind"]: v for v in sorted(verdicts, key=lambda v: list(KINDS).index(v["kind"]))}


def in_lines(verdicts: Iterable[dict[str, Any]]) -> list[str]:
    """Return verdicts as lines for the terminal: first the unknown ones, then each fault found, last the accuracy.

    Questions that were not looked into (``n`` is 0) are left out. The most important line comes last, because a
    terminal shows the end of its output.
    """
    told = in_order(verdicts)
    lines = [
        f"{KINDS[kind]}: {verdict['sentence']}"
        for kind, verdict in told.items()
        if kind == "accuracy" or (kind in FAULTS and verdict["verdict"] == "found")
    ]
    open_questions = [kind for kind, v in told.items() if v["verdict"] == "unknown" and v["n"] and kind != "accuracy"]
    unknown = [KINDS[kind] for kind in open_questions]
    return [*([f"cannot be told: {', '.join(unknown)}"] if unknown else []), *reversed(lines)]
