"""The report: one HTML file that needs nothing else, not even a network."""

import base64
import hashlib
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, FunctionLoader, StrictUndefined, Template
from markupsafe import Markup
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ..data.image_set import ImageSet
from ..evaluation.calibration import judge_temperature
from ..lr_search.plot import LABELS as READINGS
from ..training.drops import annealed_epochs
from . import examples, story, tables
from .embedding import explanation_uris, figure_uri
from .gradcam import is_blank
from .number_format import duration, number, percent
from .params import ExplainParams

PICTURES = ("image", "overlay", "true_overlay", "difference")


@dataclass(frozen=True, eq=False)
class ReportInputs:
    """What the report is made of: artifacts as their stages wrote them, and the maps.

    Attributes:
        misclassified: the explained images, in display order; columns as ``test_predictions``.
        cams_nhw, true_cams_nhw: theirs, for the predicted and the true class, float32 (N, H, H) in [0, 1].
        provenance: what made the model, shown as it is; a key that is missing there is missing in the page.
        lineage: of :func:`.story.trace_lineage`.
        cam_check: of :func:`.faithfulness.check_cams`.
        shortcut_maps: of :func:`.shortcut_maps.explain_shortcut`; None where nothing was planted.
        figures: by the names that the templates know; others are shown at the end.
        params: how the images were chosen and explained.
    """

    train_images: ImageSet
    test_images: ImageSet
    misclassified: pd.DataFrame
    cams_nhw: NDArray[np.float32]
    true_cams_nhw: NDArray[np.float32]
    metrics: dict[str, Any]
    test_predictions: pd.DataFrame
    class_metrics: pd.DataFrame
    reliability: pd.DataFrame
    label_error_candidates: pd.DataFrame
    near_duplicates: pd.DataFrame
    shortcut_probe: pd.DataFrame
    history: pd.DataFrame
    timing: pd.DataFrame
    best_lr: dict[str, Any]
    provenance: dict[str, Any]
    cam_check: dict[str, Any]
    params: ExplainParams
    lineage: list[tuple[str, str, str]] = field(default_factory=list)
    shortcut_maps: dict[str, Any] | None = None
    figures: dict[str, Figure] = field(default_factory=dict)


def build_report(inputs: ReportInputs) -> str:
    """Render the report; whatever comes from data is escaped.

    Returns:
        HTML text. Its element ``report-data`` holds the figures as JSON.
    """
    predictions = inputs.test_predictions
    confused = tables.most_confused(predictions)
    title = _title(inputs.provenance)
    temperature = inputs.metrics.get("temperature")
    galleries = {
        "pairs": examples.show_pairs(confused, predictions, inputs.test_images),
        "highest_losses": examples.show_highest_losses(predictions, inputs.test_images),
        "label_errors": examples.show_label_errors(inputs.label_error_candidates, inputs.test_images),
        "duplicates": examples.show_duplicates(inputs.near_duplicates, inputs.train_images, inputs.test_images),
        "cards": _cards(inputs),
        "shortcut_examples": (inputs.shortcut_maps or {}).get("examples", []),
    }
    facts = {
        "title": title,
        "metrics": tables.plain(inputs.metrics),
        "learning_rate": tables.plain(story.explain_learning_rate(inputs.provenance, inputs.best_lr)),
        "training": tables.training_summary(inputs.history, inputs.timing),
        "lr_drops": tables.plain(story.explain_drops(inputs.history, inputs.provenance)),
        "classes": tables.per_class(inputs.class_metrics),
        "most_confused": confused,
        "reliability": tables.plain(inputs.reliability.to_dict("records")),
        "num_misclassified": int((predictions["label"] != predictions["prediction"]).sum()),
        "num_label_error_candidates": len(inputs.label_error_candidates),
        "num_near_duplicates": len(inputs.near_duplicates),
        "cam_check": tables.plain(inputs.cam_check),
        "shortcut": _shortcut(inputs),
        "lineage": inputs.lineage,
        "explain": inputs.params.model_dump(mode="json"),
    }
    return _template().render(
        facts,
        **galleries,
        facts={
            **facts,
            "epochs": tables.epochs(inputs.history, inputs.timing),
            "misclassified": examples.without_pictures(galleries["cards"]),
            **{name: examples.without_pictures(items) for name, items in galleries.items() if name != "cards"},
        },
        calibration_verdict=judge_temperature(temperature) if temperature is not None else None,
        drawn="drawn data" in title.lower(),
        epochs=tables.epochs(inputs.history, inputs.timing),
        provenance=tables.plain(inputs.provenance),
        readings=READINGS,
        plateau=inputs.provenance.get("train", {}).get("plateau"),
        num_annealed=annealed_epochs(inputs.provenance.get("train", {})),
        num_resized=story.resized_epochs(inputs.provenance),
        figures={name: figure_uri(figure) for name, figure in inputs.figures.items()},
    )


def _title(provenance: dict[str, Any]) -> str:
    return str(provenance.get("data", {}).get("train", {}).get("title") or "unnamed data")


def _shortcut(inputs: ReportInputs) -> dict[str, Any] | None:
    if inputs.shortcut_maps is None:
        return None
    known = {key: value for key, value in inputs.shortcut_maps.items() if key != "examples"}
    shortcut: dict[str, Any] = tables.plain({**known, "classes": inputs.shortcut_probe.to_dict("records")})
    return shortcut


def _cards(inputs: ReportInputs) -> list[dict[str, Any]]:
    rows = inputs.misclassified.to_dict("records")
    assert len(rows) == len(inputs.cams_nhw) == len(inputs.true_cams_nhw)
    images_nhwc = inputs.test_images.images_nhwc[inputs.misclassified["index"].to_numpy(int)]
    pictures = explanation_uris(images_nhwc, inputs.cams_nhw, inputs.true_cams_nhw)
    blanks = zip(is_blank(inputs.cams_nhw), is_blank(inputs.true_cams_nhw), strict=True)
    cards = []
    for row, uris, (blank, true_blank) in zip(rows, pictures, blanks, strict=True):
        path = row.get("path")
        card = {
            "index": int(row["index"]),
            "path": str(path) if isinstance(path, str) and path else None,
            "prediction": str(row["prediction_name"]),
            "confidence": float(row["confidence"]),
            "truth": str(row["label_name"]),
            "truth_probability": float(row[f"p_{row['label_name']}"]),
            "blank_map": bool(blank),
            "blank_true_map": bool(true_blank),
        }
        cards.append(tables.plain({**card, **dict(zip(PICTURES, uris, strict=True))}))
    return cards


def _template() -> Template:
    files = resources.files(__package__)

    def read(name: str) -> str:
        return (files / name).read_text(encoding="utf-8")

    environment = Environment(
        loader=FunctionLoader(read), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(percent=percent, number=number, duration=duration)
    script = read("report.js").strip()
    # the browser runs this script and no other: whatever else a page might contain is not this text
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    environment.globals.update(
        style=Markup(read("report.css")),  # noqa: S704 - a file of ours
        script=Markup(script),  # noqa: S704 - a file of ours
        script_hash=f"sha256-{digest}",
    )
    return environment.get_template("report.html.j2")
