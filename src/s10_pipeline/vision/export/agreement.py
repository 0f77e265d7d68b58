"""Check that an exported ONNX model gives the same results as the PyTorch model, with ONNX Runtime."""

import logging
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

from ..data.loader import cap_batch_size
from ..errors import UserError
from ..network.classifier import Classifier
from ..progress import progress_bar
from .onnx_file import INPUT, OUTPUTS
from .params import ExportParams

_log = logging.getLogger(__name__)

BATCH_SIZE = 64


def check_agreement(
    onnx_model: bytes, model: Classifier, images_nhwc: NDArray[np.uint8], params: ExportParams
) -> dict[str, Any]:
    """Compare the outputs of the ONNX model and the PyTorch model for the same images, on the CPU.

    Both models run in batches, and once with a single image.

    Args:
        onnx_model: content of the ONNX file (:func:`~.onnx_file.to_onnx`).
        model: put into evaluation mode; on the CPU afterwards.
        images_nhwc: uint8 (N, H, H, 3) of the model's size; ``num_check_images`` of them, evenly spaced, are used.
        params: ``num_check_images``, ``tolerance``.

    Returns:
        ``export_check``: ``num_images``, ``max_probability_difference``, ``max_logit_difference``,
        ``num_equal_predictions``, ``tolerance``, ``num_bytes`` and ``versions``. Predictions may differ for images
        whose two most probable classes are closer than the tolerance.

    Raises:
        UserError: a probability differs by more than the tolerance.
    """
    session = onnxruntime.InferenceSession(onnx_model, providers=["CPUExecutionProvider"])
    model = model.cpu().eval()
    chosen = np.unique(np.linspace(0, len(images_nhwc) - 1, params.num_check_images).round().astype(int))
    batch_size = cap_batch_size(BATCH_SIZE, model.spec.image_size)
    batches = [chosen[:1], *(chosen[start : start + batch_size] for start in range(0, len(chosen), batch_size))]
    outputs = []
    with progress_bar("check the export", len(batches), "batches") as bar:
        for rows in batches:
            outputs.append(_outputs(session, model, np.ascontiguousarray(images_nhwc[rows].transpose(0, 3, 1, 2))))
            bar.advance()
    logits_nk, probabilities_nk, expected_logits_nk, expected_nk = map(np.concatenate, zip(*outputs, strict=True))
    # Use NumPy's max, because Python's max may ignore NaN.
    probability_difference = float(np.abs(probabilities_nk - expected_nk).max())
    logit_difference = float(np.abs(logits_nk - expected_logits_nk).max())
    equal = (probabilities_nk.argmax(1) == expected_nk.argmax(1))[1:]  # the first image occurs twice
    if not probability_difference <= params.tolerance:
        raise UserError(
            f"export.tolerance={params.tolerance:g}: a probability of the ONNX model differs by "
            f"{probability_difference:.3g} from the PyTorch model's, so nothing was written; try other versions of "
            f"torch and onnxruntime ({_versions()}), or raise the tolerance"
        )
    _log.info(
        "on %d images, probabilities of the ONNX model and the PyTorch model differ by at most %.1e",
        *(len(chosen), probability_difference),
    )
    return {
        "num_images": len(chosen),
        "num_equal_predictions": int(equal.sum()),
        "max_probability_difference": probability_difference,
        "max_logit_difference": logit_difference,
        "tolerance": params.tolerance,
        "num_bytes": len(onnx_model),
        "versions": _versions(),
    }


def _outputs(
    session: onnxruntime.InferenceSession, model: Classifier, images_bchw: NDArray[np.uint8]
) -> tuple[NDArray[Any], ...]:
    """Return logits and probabilities (B, K) of the ONNX model, then logits and probabilities of the PyTorch model."""
    images = torch.from_numpy(images_bchw)
    with torch.inference_mode():
        expected_logits_bk = model(images).numpy()
    return *session.run(OUTPUTS, {INPUT: images_bchw}), expected_logits_bk, model.probabilities(images).numpy()


def _versions() -> str:
    return f"torch {torch.__version__}, onnxruntime {onnxruntime.__version__}"
