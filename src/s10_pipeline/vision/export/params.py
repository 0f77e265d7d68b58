"""Parameters of the ``export`` stage."""

from pydantic import Field

from ..params import Params


class ExportParams(Params):
    """The model as an ONNX file.

    Attributes:
        num_check_images: test images on which the file must agree with the model; all where there are fewer.
        tolerance: how far a probability may be off. Both compute in fp32 and differ by rounding: 1e-6 with the model of
            the sample environment.
    """

    num_check_images: int = Field(500, ge=1)
    tolerance: float = Field(1e-4, gt=0, lt=1)
