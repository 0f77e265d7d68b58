"""Define training, validation and test set: the indices of their images, and the transforms applied to them."""

import logging
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...identity.digests import sha256_of
from .image_set import ImageSet
from .params import AugmentParams
from .stratified import hold_out

_log = logging.getLogger(__name__)

# Bytes of image data per chunk when measuring mean and standard deviation of the pixels. Measuring a chunk needs about
# three times as much memory again.
CHUNK_BYTES = 16 * 2**20


@dataclass(frozen=True, eq=False)
class Split:
    """Training, validation or test set: indices of its images in an :class:`ImageSet`, and its transforms by name.

    Attributes:
        name: ``train``, ``val`` or ``test``.
        indices: int64 (M,), ascending, into ``train_images`` (train, val) or ``test_images`` (test).
        transforms: as in ``augment.train``; empty for val and test.
        mean, std: per channel (RGB), 0-255, for normalisation in a model without pretrained weights; equal in all three
            sets.
        parameters: how the split was made, for ``provenance``.
    """

    name: str
    indices: NDArray[np.int64]
    transforms: list[dict[str, dict[str, Any]]]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    parameters: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.indices)


def indices_digest(subset: Split) -> str:
    """Return the SHA-256 of the image indices of a set, which is equal if the same images were chosen."""
    return sha256_of(np.ascontiguousarray(subset.indices))


def channel_mean_std(
    images_nhwc: NDArray[np.uint8], indices: NDArray[np.int64]
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Return mean and standard deviation per channel (0-255) of the images at ``indices``, from exact integer sums."""
    histograms = np.zeros((3, 256), np.int64)
    chunk_size = max(1, CHUNK_BYTES // images_nhwc[0].nbytes)
    for start in range(0, len(indices), chunk_size):
        pixels = images_nhwc[indices[start : start + chunk_size]].reshape(-1, 3)
        for channel in range(3):
            histograms[channel] += np.bincount(pixels[:, channel], minlength=256)
    values = np.arange(256)
    total, squares, count = histograms @ values, histograms @ values**2, int(histograms[0].sum())
    mean = total / count
    # use a deviation of at least 1: normalisation divides by it, and a channel with a single value has deviation 0
    std = np.sqrt(np.maximum(squares / count - mean**2, 1.0))
    r, g, b = (round(float(v), 4) for v in mean)
    sr, sg, sb = (round(float(v), 4) for v in std)
    return (r, g, b), (sr, sg, sb)


def build_sets(train_images: ImageSet, test_images: ImageSet, params: AugmentParams) -> tuple[Split, Split, Split]:
    """Split off validation images, check the transforms, and measure mean and standard deviation if not given.

    If the source assigns validation images, these are used instead of a random split.

    Returns:
        (train, val, test). Validation images are part of ``train_images``.

    Raises:
        UserError: a class is too small to be split, or a transform is wrong.
    """
    from .transforms import build_transforms, check_keeps_images

    split: dict[str, Any] = {"val_fraction": params.val_fraction, "seed": params.seed}
    if train_images.validation is not None:
        kept, held_out = np.flatnonzero(~train_images.validation), np.flatnonzero(train_images.validation)
        split = {"validation": "named by the source"}
        _log.info("augment.val_fraction is unused: the source names %d validation images", len(held_out))
    else:
        choice = params.val_fraction, params.seed, train_images.class_names, "augment.val_fraction"
        kept, held_out = hold_out(train_images.labels, *choice, train_images.groups)
    mean, std = channel_mean_std(train_images.images_nhwc, kept)
    mean, std = params.pixel_mean or mean, params.pixel_std or std
    check_keeps_images(build_transforms(list(params.train), mean), np.array(train_images.images_nhwc[int(kept[0])]))
    return (
        Split("train", kept, list(params.train), mean, std, split),
        Split("val", held_out, [], mean, std, split),
        Split("test", np.arange(len(test_images)), [], mean, std),
    )
