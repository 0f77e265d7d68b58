"""Measure loss and accuracy on validation and test images after each epoch."""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..data.image_set import ImageSet
from ..data.loader import Batch, cap_batch_size, plain_batches
from ..device import Precision, no_autotuning
from ..network.classifier import Classifier
from .margins import margins_of
from .metric_sums import MetricSums
from .optimizer import training_loss

# Images per batch when measuring loss and accuracy on a CPU or Apple GPU.
BATCH_SIZE = 500

# Images per batch when measuring loss and accuracy on CUDA, where smaller batches would leave the GPU idle.
BATCH_SIZE_CUDA = 2048

# Validation and test images are kept in GPU memory if they need less than this share of the free memory; otherwise they
# are copied there anew after each epoch.
MAX_SHARE_OF_MEMORY = 1 / 8


class MeasuredImages:
    """Batches of validation or test images, in order, to measure after each epoch; kept in GPU memory if they fit.

    Attributes:
        indices: int64 indices into ``images``.
    """

    def __init__(self, images: ImageSet, indices: NDArray[np.int64], device: torch.device) -> None:
        self._images, self.indices, self._device = images, indices, device
        self._on_device: list[Batch] | None = None

    def __iter__(self) -> Iterator[Batch]:
        if self._on_device is None and self._fits():
            self._on_device = [
                (images_bchw.to(self._device), labels_b.to(self._device)) for images_bchw, labels_b in self._read()
            ]
        return self._read() if self._on_device is None else iter(self._on_device)

    def _fits(self) -> bool:
        if self._device.type != "cuda":
            return False
        num_bytes = len(self.indices) * self._images.images_nhwc[0].nbytes
        return bool(num_bytes < MAX_SHARE_OF_MEMORY * torch.cuda.mem_get_info(self._device)[0])

    def _read(self) -> Iterator[Batch]:
        batch_size = BATCH_SIZE_CUDA if self._device.type == "cuda" else BATCH_SIZE
        batch_size = cap_batch_size(batch_size, self._images.image_size)
        return plain_batches(self._images.images_nhwc, self._images.labels, self.indices, batch_size)


@torch.inference_mode()
def measure(model: Classifier, batches: Iterable[Batch], precision: Precision) -> tuple[MetricSums, Tensor]:
    """Measure a model without gradients: return sums of loss and correct predictions, and the margins (N,) of images.

    Margins (:func:`.margins.margins_of`) are in the order of the images.
    The model's mode (training or evaluation) is restored afterwards.
    """
    was_training = model.training
    model.eval()
    sums = MetricSums.zero(precision.device)
    margins = [torch.zeros(0, device=precision.device)]
    # cuDNN autotuning takes longer than it saves on a few batches per shape
    with no_autotuning():
        for batch in batches:
            images_bchw, labels_b = (t.to(precision.device, non_blocking=True) for t in batch)
            with precision.autocast():
                logits_bk = model(images_bchw)
            sums.add(training_loss(logits_bk, labels_b, 0.0), logits_bk, labels_b)
            margins.append(margins_of(logits_bk, labels_b))
    model.train(was_training)
    return sums, torch.cat(margins)
