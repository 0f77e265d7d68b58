"""Parameters of the ``evaluation`` stage: the group ``evaluate`` of the configuration."""

from pydantic import Field

from ..params import Params


class EvaluateParams(Params):
    """Parameters of the evaluation of the stored model on test images.

    Attributes:
        batch_size: images per forward pass; fewer if the images are large.
        num_bins: number of equal-width bins of confidence for the expected calibration error.
        duplicate_similarity: lowest similarity (correlation of thumbnails) at which a test or validation image is
            listed as a near-duplicate of a training image; values above 0.91 count as 0.91; null: no search for
            near-duplicates.
        test_time_flip: also measure the accuracy of test-time augmentation, which averages the probabilities of an
            image and its mirror image; other metrics do not change. Test-time augmentation suits data whose classes do
            not change when an image is mirrored.
    """

    batch_size: int = Field(500, ge=1)
    num_bins: int = Field(15, ge=2, le=1000)
    duplicate_similarity: float | None = Field(0.85, gt=0, le=1)
    test_time_flip: bool = False
