"""The artifacts that the report is made of; light, because pipelines read it wherever they are listed."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..data.image_set import ImageSet
from ..errors import UserError
from ..explain.cams import Cams

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True, eq=False)
class ReportInputs:
    """What the report is made of: artifacts as their stages wrote them, by their names.

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
            raise UserError("cams: maps of other images than misclassified; make both: kedro run --pipeline=explain")
