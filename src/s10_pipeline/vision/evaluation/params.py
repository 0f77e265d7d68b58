"""Parameters of the ``evaluation`` stage: ``evaluate``."""

from pydantic import Field

from ..params import Params


class EvaluateParams(Params):
    """How the stored model is measured on the test images.

    Attributes:
        batch_size: images a forward pass, fewer of large ones.
        num_bins: bins of equal width of the expected calibration error.
        duplicate_similarity: from this correlation of their details on, a training and a test or validation image are
            listed as near-duplicates (:mod:`.duplicates`); null: they are not looked for.
        test_time_flip: also measure the mean of the probabilities of an image and its mirror image, beside the
            plain figures, which stay as they are. For data whose meaning survives mirroring.
    """

    batch_size: int = Field(500, ge=1)
    num_bins: int = Field(15, ge=2, le=1000)
    duplicate_similarity: float | None = Field(0.85, gt=0, le=1)
    test_time_flip: bool = False
