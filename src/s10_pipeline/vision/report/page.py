"""The report: one HTML file that needs nothing else, not even a network."""

import base64
import hashlib
from dataclasses import dataclass
from importlib import resources
from typing import Any

import pandas as pd
from jinja2 import Environment, FunctionLoader, StrictUndefined, Template
from markupsafe import Markup
from matplotlib.figure import Figure

from ..data.image_set import ImageSet
from ..errors import UserError
from ..evaluation.verdict import FAULTS, KINDS, in_order
from ..explain.cams import Cams
from ..explain.params import SELECTIONS
from ..lr_search.rate import METHODS
from . import examples, story, tables
from .embedding import figure_uri
from .number_format import duration, number, percent


@dataclass(frozen=True, eq=False)
class ReportInputs:
    """What the report is made of: artifacts as their stages wrote them.

    Attributes:
        misclassified: the explained images, in display order; columns as ``test_predictions``.
        provenance: what made the model, shown as it is; a key that is missing there is missing in the page.
        verdicts: of :mod:`..evaluation.judge`; that on the maps is in ``cam_check``.
        cams: their maps, and how the images were chosen and explained.

    Raises:
        UserError: the maps are of other images than ``misclassified``.
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
    lr_curve: pd.DataFrame
    best_lr: dict[str, Any]
    augmented_examples: ImageSet
    provenance: dict[str, Any]
    cam_check: dict[str, Any]
    verdicts: list[dict[str, Any]]

    def __post_init__(self) -> None:
        if self.cams.indices.tolist() != self.misclassified["index"].tolist():
            raise UserError("cams: maps of other images than misclassified; make both: kedro run --pipeline=explain")


def build_report(inputs: ReportInputs, figures: dict[str, Figure]) -> str:
    """Render the report; whatever comes from data is escaped.

    Args:
        figures: of :func:`.figures.draw_figures`; those whose name no template knows are shown at the end.

    Returns:
        HTML text. Its element ``report-data`` holds the figures as JSON.
    """
    predictions, shortcut = inputs.test_predictions, inputs.cams.shortcut
    confused = tables.most_confused(predictions)
    source = inputs.provenance.get("data", {}).get("train", {})
    title = str(source.get("title") or "unnamed data")
    galleries = {
        "pairs": examples.show_pairs(confused, predictions, inputs.test_images),
        "highest_losses": examples.show_highest_losses(predictions, inputs.test_images),
        "label_errors": examples.show_label_errors(inputs.label_error_candidates, inputs.test_images),
        "duplicates": examples.show_duplicates(inputs.near_duplicates, inputs.train_images, inputs.test_images),
        "misclassified": examples.show_misclassified(inputs.misclassified, inputs.cams, inputs.test_images),
        "shortcut_examples": examples.show_shortcut(inputs.cams, inputs.provenance, inputs.test_images),
    }
    facts = {
        "title": title,
        "metrics": tables.to_jsonable(inputs.metrics),
        "learning_rate": tables.to_jsonable(story.explain_learning_rate(inputs.provenance, inputs.best_lr)),
        "training": tables.training_summary(inputs.history, inputs.timing),
        "schedule": inputs.provenance.get("schedule"),
        "classes": tables.per_class(inputs.class_metrics),
        "most_confused": confused,
        "reliability": tables.to_jsonable(inputs.reliability.to_dict("records")),
        "num_misclassified": int((predictions["label"] != predictions["prediction"]).sum()),
        "verdicts": tables.to_jsonable(in_order([*inputs.verdicts, inputs.cam_check["verdict"]])),
        "cam_check": tables.to_jsonable(inputs.cam_check),
        "shortcut": shortcut and tables.to_jsonable({**shortcut, "classes": inputs.shortcut_probe.to_dict("records")}),
        "lineage": story.trace_lineage(inputs.provenance, inputs.cams.model, predictions),
        "explain": inputs.cams.params,
        "epochs": tables.epochs(inputs.history, inputs.timing),
    }
    return _template().render(
        facts,
        **galleries,
        facts={**facts, **{name: examples.without_pictures(items) for name, items in galleries.items()}},
        kinds=KINDS,
        fault_kinds=FAULTS,
        drawn=bool(source.get("drawn")),
        planted=list(source.get("faults", {})),
        provenance=tables.to_jsonable(inputs.provenance),
        methods=METHODS,
        selection=SELECTIONS[inputs.cams.params["selection"]],
        num_resized=story.resized_epochs(inputs.provenance),
        figures={name: figure_uri(figure) for name, figure in figures.items()},
    )


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
