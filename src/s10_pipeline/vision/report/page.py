"""Build the report: one HTML file that loads nothing from other files or the network."""

import base64
import hashlib
from importlib import resources

from jinja2 import Environment, FunctionLoader, StrictUndefined, Template
from markupsafe import Markup
from matplotlib.figure import Figure

from ..data.corrections import COLUMNS
from ..evaluation.verdict import FAULTS, KINDS, in_order
from ..explain.params import SELECTIONS
from ..lr_search.rate import METHODS
from . import examples, story, tables
from .embedding import figure_svg
from .inputs import ReportInputs
from .number_format import duration, number, percent


def build_report(inputs: ReportInputs, figures: dict[str, Figure]) -> str:
    """Render the report; all text from data is escaped.

    Args:
        figures: those of :func:`.figures.draw_figures`; a figure that no template places is shown at the end.

    Returns:
        HTML text. Its element ``report-data`` holds all numbers of the page as JSON.
    """
    predictions, shortcut = inputs.test_predictions, inputs.cams.shortcut
    confused = tables.most_confused(predictions)
    source = inputs.provenance.get("data", {}).get("train", {})
    title = str(source.get("title") or "unnamed data")
    provenance = tables.to_jsonable(inputs.provenance)
    applied = provenance.get("data", {}).get("train", {}).get("corrections", {})
    # Leave out the corrections of earlier runs where the page shows provenance: it shows their counts only. The page's
    # script adds their rows to the corrections.csv that the user downloads.
    earlier = applied.pop("rows", [])
    galleries = tables.to_jsonable(
        {
            "pairs": examples.show_pairs(confused, predictions, inputs.test_images),
            "highest_losses": examples.show_highest_losses(predictions, inputs.test_images),
            "label_errors": examples.show_label_errors(
                inputs.label_error_candidates, inputs.train_images, inputs.test_images
            ),
            "lowest_margins": examples.show_lowest_margins(
                inputs.train_margins, inputs.label_error_candidates, inputs.train_images
            ),
            "duplicates": examples.show_duplicates(inputs.near_duplicates, inputs.train_images, inputs.test_images),
            "misclassified": examples.show_misclassified(inputs.misclassified, inputs.cams, inputs.test_images),
            "shortcut_examples": examples.show_shortcut(inputs.cams, inputs.provenance, inputs.test_images),
        }
    )
    facts = tables.to_jsonable(
        {
            "title": title,
            "metrics": inputs.metrics,
            "learning_rate": story.explain_learning_rate(inputs.provenance, inputs.best_lr),
            "training": tables.training_summary(inputs.training_history, inputs.training_timing),
            "schedule": inputs.provenance["schedule"],
            "classes": inputs.class_metrics.sort_values("f1", kind="stable").to_dict("records"),
            "most_confused": confused,
            "reliability": inputs.reliability.to_dict("records"),
            "num_misclassified": int((predictions["label"] != predictions["prediction"]).sum()),
            "verdicts": in_order([*inputs.verdicts, inputs.cam_check["verdict"]]),
            "cam_check": inputs.cam_check,
            "shortcut": shortcut and {**shortcut, "classes": inputs.shortcut_probe.to_dict("records")},
            "lineage": story.trace_lineage(inputs.provenance, inputs.cams.model, predictions),
            "explain": inputs.cams.params,
            "corrections": {
                "model": inputs.cams.model,
                "checksum": source.get("checksum"),
                "class_names": inputs.train_images.class_names,
                "columns": COLUMNS,
                "applied": applied,
                "earlier": earlier,
            },
            "epochs": inputs.training_history.merge(inputs.training_timing, on="epoch", how="left").to_dict("records"),
        }
    )
    return _template().render(
        facts,
        **galleries,
        facts={**facts, **{name: examples.without_pictures(items) for name, items in galleries.items()}},
        kinds=KINDS,
        fault_kinds=FAULTS,
        drawn=bool(source.get("drawn")),
        planted=list(source.get("faults", {})),
        provenance=provenance,
        methods=METHODS,
        selection=SELECTIONS[inputs.cams.params["selection"]],
        augmented=examples.show_augmented(inputs.augmented_examples),
        augmented_source=inputs.augmented_examples.source,
        num_to_correct=int((inputs.label_error_candidates["split"] != "test").sum()),
        num_duplicates=len(inputs.near_duplicates),
        num_resized=story.resized_epochs(inputs.provenance),
        figures={name: figure_svg(figure, name) for name, figure in figures.items()},
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
    # Name the script's digest in the page's Content-Security-Policy, so that the browser runs no other script, such as
    # one from data.
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    environment.globals.update(
        # Style sheet and script are files of this package, so they need no escaping.
        style=Markup(read("report.css")),  # noqa: S704
        script=Markup(script),  # noqa: S704
        script_hash=f"sha256-{digest}",
    )
    return environment.get_template("report.html.j2")
