"""The stored results that the report is built from. pandas is imported only for type hints, to save time."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..data.image_set import ImageSet
from ..errors import UserError
from ..explain.cams import Cams

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True, eq=False)
class ReportInputs:
    """All stored results that the report is built from; each attribute is the catalog entry of the same name.

    Attributes:
        misclassified: the explained images, in display order, with the columns of ``test_predictions``.
        provenance: parameters, data, code and versions that made the model; the page omits keys that are missing.
        verdicts: those of :mod:`..evaluation.judge`; the verdict on the maps is in ``cam_check``.
        cams: maps of ``misclassified``, and how these images were chosen and explained.

    Raises:
        UserError: ``cams`` and ``misclassified`` list different images.
    """

    train_images: ImageSet
    test_images: ImageSet
    misclassified: "DataFrame"
    cams: Cams
    metrics: dict[str, Any]
    test_predictions: "DataFrame"
    class_metrics: "DataFrame"
    reliability: "DataFrame"
    train_margins: "DataFrame"
    label_error_candidates: "DataFrame"
    near_duplicates: "DataFrame"
    shortcut_probe: "DataFrame"
    training_history: "DataFrame"
    training_timing: "DataFrame"
    lr_curve: "DataFrame"
    best_lr: dict[str, Any]
    augmented_examples: ImageSet
    provenance: dict[str, Any]
    cam_check: dict[str, Any]
    verdicts: list[dict[str, Any]]

    def __post_init__(self) -> None:
        if self.cams.indices.tolist() != self.misclassified["index"].tolist():
            raise UserError(
                "cams: these maps are not of the images in misclassified; make both again: kedro run --pipeline=explain"
            )
