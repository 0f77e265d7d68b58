"""A question about a trained model or its data, answered as far as the images allow."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

# The kinds of verdicts, in words, in the order in which a reader needs them.
KINDS = {
    "accuracy": "accuracy",
    "baseline": "no better than always the same guess",
    "class_starved": "classes with few images or never predicted",
    "shortcut": "planted shortcut",
    "near_duplicates": "copies of training images",
    "train_test_shift": "test images unlike the training images",
    "label_errors": "wrong labels",
    "calibration": "calibration",
    "cam_trust": "trust in the maps",
    "decided_schedule": "schedule",
}
# Those that are a fault of the data or of the model where they are found. Calibration is none: of 20 trainings on drawn
# data without a fault, 19 are surely a little too sure or not sure enough.
FAULTS = ("baseline", "class_starved", "shortcut", "near_duplicates", "train_test_shift", "label_errors")


@dataclass(frozen=True)
class Verdict:
    """One verdict.

    Attributes:
        kind: a key of :data:`KINDS`.
        verdict: whether that which ``kind`` names was found; ``unknown`` where ``n`` images do not tell.
        n: images that were looked at.
        value: the figure that decides.
        low, high: ends of its interval, 95 % unless the sentence says otherwise.
        items: the images, classes or figures that it is about, JSON-able.
        sentence: the verdict for people, with its evidence.
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
        """Return the verdict as JSON has it."""
        return {**asdict(self), "items": list(self.items)}


def in_order(verdicts: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Verdicts as stored, by kind, those first that a reader needs first."""
    return {v["kind"]: v for v in sorted(verdicts, key=lambda v: list(KINDS).index(v["kind"]))}


def in_lines(verdicts: Iterable[dict[str, Any]]) -> list[str]:
    """What cannot be told, each fault that was found, the accuracy: lines for a terminal, read from its end."""
    told = in_order(verdicts)
    lines = [
        f"{KINDS[kind]}: {verdict['sentence']}"
        for kind, verdict in told.items()
        if kind == "accuracy" or (kind in FAULTS and verdict["verdict"] == "found")
    ]
    unknown = [KINDS[kind] for kind, v in told.items() if v["verdict"] == "unknown" and kind != "accuracy"]
    return [*([f"cannot be told: {', '.join(unknown)}"] if unknown else []), *reversed(lines)]
