"""The report: one HTML file that needs nothing else, not even a network."""

from importlib import resources
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, FunctionLoader, StrictUndefined, Template
from markupsafe import Markup
from matplotlib.figure import Figure
from numpy.typing import NDArray

from . import tables
from .embedding import figure_uri, pair_uris
from .gradcam import is_blank
from .params import ExplainParams

NOTHING = "–"


def build_report(
    *,
    misclassified: pd.DataFrame,
    images_nhwc: NDArray[np.uint8],
    cams: NDArray[np.float32],
    metrics: dict[str, Any],
    test_predictions: pd.DataFrame,
    history: pd.DataFrame,
    timing: pd.DataFrame,
    best_lr: dict[str, Any],
    provenance: dict[str, Any],
    figures: dict[str, Figure],
    params: ExplainParams | None = None,
) -> str:
    """Render the report; whatever comes from data is escaped.

    Args:
        misclassified: the explained images, in display order; columns as ``test_predictions``.
        images_nhwc: theirs, uint8 (N, H, H, 3), RGB.
        cams: theirs, for the predicted class, float32 (N, H, H) in [0, 1]; blank ones are flagged.
        metrics, test_predictions, history, timing, best_lr: as written by their stages.
        provenance: what made the model, shown as it is; of its keys only ``data.train.title`` is read.
        figures: any of ``accuracy_curves``, ``loss_curves``, ``lr_curve_plot``, ``confusion_matrix``;
            others are shown at the end.
        params: how the images were chosen and explained; not mentioned where it is None.

    Returns:
        HTML text. Its element ``report-data`` holds the key figures as JSON.
    """
    assert len(misclassified) == len(images_nhwc) == len(cams)
    num_mistakes = int((test_predictions["label"] != test_predictions["prediction"]).sum())
    title = _title(provenance)
    cards = _cards(misclassified, images_nhwc, cams)
    facts = {
        "title": title,
        "metrics": tables.plain(metrics),
        "learning_rate": tables.plain(best_lr),
        "training": tables.training_summary(history, timing),
        "classes": tables.per_class(test_predictions),
        "most_confused": tables.most_confused(test_predictions),
        "num_misclassified": num_mistakes,
        "explain": params.model_dump() if params else None,
        "misclassified": [{k: v for k, v in card.items() if k not in ("image", "overlay")} for card in cards],
    }
    return _template().render(
        facts,
        facts=facts,
        drawn="drawn data" in title.lower(),
        cards=cards,
        history=tables.plain(history.to_dict("records")),
        provenance=tables.plain(provenance),
        figures={name: figure_uri(figure) for name, figure in figures.items()},
    )


def _title(provenance: dict[str, Any]) -> str:
    value: Any = provenance
    for key in ("data", "train", "title"):
        value = value.get(key) if isinstance(value, dict) else None
    return str(value or "unnamed data")


def _cards(
    misclassified: pd.DataFrame, images_nhwc: NDArray[np.uint8], cams_nhw: NDArray[np.float32]
) -> list[dict[str, Any]]:
    cards = []
    rows = misclassified.to_dict("records")
    for row, blank, (image, overlay) in zip(rows, is_blank(cams_nhw), pair_uris(images_nhwc, cams_nhw), strict=True):
        path = row.get("path")
        card = {
            "index": int(row["index"]),
            "path": str(path) if isinstance(path, str) and path else None,
            "prediction": str(row["prediction_name"]),
            "confidence": tables.plain(float(row["confidence"])),
            "truth": str(row["label_name"]),
            "truth_probability": tables.plain(float(row[f"p_{row['label_name']}"])),
            "blank_map": bool(blank),
        }
        cards.append({**card, "image": image, "overlay": overlay})
    return cards


def _template() -> Template:
    files = resources.files(__package__)

    def read(name: str) -> str:
        return (files / name).read_text(encoding="utf-8")

    environment = Environment(
        loader=FunctionLoader(read), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(percent=_percent, number=_number, duration=_duration)
    environment.globals["style"] = Markup(read("report.css"))  # noqa: S704 - a file of ours
    return environment.get_template("report.html.j2")


def _percent(fraction: float | None, digits: int = 1) -> str:
    return NOTHING if fraction is None else f"{fraction:.{digits}%}"


def _number(value: Any, digits: int = 4) -> str:
    """Numbers to some significant digits, integers with separators; other things as they are."""
    if value is None:
        return NOTHING
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    # without an exponent: 1,470 images a second, not 1.47e+03
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e15 else f"{value:.{digits}g}"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return NOTHING
    if seconds < 120:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
