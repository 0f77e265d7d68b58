"""Parameters of the ``export`` stage."""

from pydantic import Field

from ..params import Params


class ExportParams(Params):
    """Parameters of the export to ONNX.

    Attributes:
        num_check_images: number of test images on which the ONNX model is compared with the PyTorch model; all if there
            are fewer.
        tolerance: largest allowed difference between a probability of the ONNX model and of the PyTorch model. The ONNX
            and the PyTorch model compute in fp32 and differ only by rounding, by 1e-6 for the model of the environment
            ``sample``.
    """

    num_check_images: int = Field(500, ge=1)
    tolerance: float = Field(1e-4, gt=0, lt=1)
