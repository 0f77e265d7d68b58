"""The report: one HTML file that needs nothing else, not even a network."""

import base64
import hashlib
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

import pandas as pd
from jinja2 import Environment, FunctionLoader, StrictUndefined, Template
from markupsafe import Markup
from matplotlib.figure import Figure

from ..data.image_set import ImageSet
from ..data.planted import planted_shortcut
from ..errors import UserError
from ..evaluation.calibration import judge_temperature
from ..explain.cams import Cams, is_blank
from ..explain.params import SELECTIONS
from ..lr_search.plot import LABELS as READINGS
from ..training.drops import annealed_epochs
from . import examples, story, tables
from .embedding import explanation_uris, figure_uri
from .number_format import duration, number, percent

PICTURES = ("image", "overlay", "true_overlay", "difference")


@dataclass(frozen=True, eq=False)
class ReportInputs:
    """What the report is made of: artifacts as their stages wrote them.

    Attributes:
        misclassified: the explained images, in display order; columns as ``test_predictions``.
        provenance: what made the model, shown as it is; a key that is missing there is missing in the page.
        lineage: of :func:`.story.trace_lineage`.
        cams: their maps, and how the images were chosen and explained.
        figures: by the names that the templates know; others are shown at the end.
    """

    train_images: ImageSet
    test_images: ImageSet
    misclassified: pd.DataFrame
    cams: Cams
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
    lineage: list[tuple[str, str, str]] = field(default_factory=list)
    figures: dict[str, Figure] = field(default_factory=dict)


def build_report(inputs: ReportInputs) -> str:
    """Render the report; whatever comes from data is escaped.

    Returns:
        HTML text. Its element ``report-data`` holds the figures as JSON.

    Raises:
        UserError: the maps are of other images than ``misclassified``.
    """
    if inputs.cams.indices.tolist() != inputs.misclassified["index"].tolist():
        raise UserError("cams: maps of other images than misclassified; make both with kedro run --pipeline=explain")
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
        "shortcut_examples": examples.show_shortcut(
            inputs.cams, planted_shortcut(inputs.provenance), inputs.test_images
        ),
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
        "explain": inputs.cams.params,
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
        selection=SELECTIONS[inputs.cams.params["selection"]],
        plateau=inputs.provenance.get("train", {}).get("plateau"),
        num_annealed=annealed_epochs(inputs.provenance.get("train", {})),
        num_resized=story.resized_epochs(inputs.provenance),
        figures={name: figure_uri(figure) for name, figure in inputs.figures.items()},
    )


def _title(provenance: dict[str, Any]) -> str:
    return str(provenance.get("data", {}).get("train", {}).get("title") or "unnamed data")


def _shortcut(inputs: ReportInputs) -> dict[str, Any] | None:
    if inputs.cams.shortcut is None:
        return None
    known = {key: value for key, value in inputs.cams.shortcut.items() if key != "examples"}
    shortcut: dict[str, Any] = tables.plain({**known, "classes": inputs.shortcut_probe.to_dict("records")})
    return shortcut


def _cards(inputs: ReportInputs) -> list[dict[str, Any]]:
    rows, cams = inputs.misclassified.to_dict("records"), inputs.cams
    images_nhwc = inputs.test_images.images_nhwc[cams.indices]
    pictures = explanation_uris(images_nhwc, cams.predicted_nhw, cams.true_nhw)
    blanks = zip(is_blank(cams.predicted_nhw), is_blank(cams.true_nhw), strict=True)
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
