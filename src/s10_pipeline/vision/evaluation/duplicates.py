"""Find test and validation images that have a near-duplicate among the training images.

A model may have memorised such images, so accuracy on them is too high. All pairs are compared, without hashing:
10,000 with 50,000 images take seconds.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from ..data.image_set import ImageSet
from ..data.split import Split
from ..progress import progress_bar

COLUMNS = ("split", "index", "train_index", "similarity", "mirrored", "label_name", "train_label_name")
_MEASURED = {"index": "int64", "train_index": "int64", "similarity": "float64", "mirrored": "bool"}

# Two images with at least this similarity look like copies. In images drawn by the program (benchmarks/nulls.py), the
# similarity is at most 0.896 for 8,000 test images without a copy, and at least 0.919 for 200 copies saved as JPEG 75.
COPY = 0.91

_SIDE, _COARSE = 16, 4
# If the fine detail of a thumbnail has a standard deviation below this (in grey levels), it is only compression noise.
# The image's similarity to every other image is then set to 0.
_MIN_DETAIL = 1.0
# Maximum number of similarities that are computed and held in memory at once: 64 MiB of float32.
_BLOCK = 2**24
# Maximum number of training images compared in one step, so that the progress bar moves even with few test images.
_STEP = 2048


def find_near_duplicates(
    train_images: ImageSet, test_images: ImageSet, train_set: Split, val_set: Split, min_similarity: float | None
) -> pd.DataFrame:
    """List near-duplicates of training images among the test images and among the validation images.

    Test images are compared with all ``train_images``; validation images, which are part of ``train_images``, only
    with those in ``train_set``.

    Args:
        min_similarity: lowest similarity that is listed (:func:`find_copies`), at most 0.91; None lists nothing.

    Returns:
        The table of :func:`find_copies` with a first column ``split``, "test" or "val".
    """
    if min_similarity is None:
        return pd.DataFrame(columns=COLUMNS).astype({"split": "str", **_MEASURED})
    everything, min_similarity = np.arange(len(train_images)), min(min_similarity, COPY)
    copies = {
        "test": find_copies(train_images, everything, test_images, np.arange(len(test_images)), min_similarity),
        "val": find_copies(train_images, train_set.indices, train_images, val_set.indices, min_similarity),
    }
    return pd.concat(copies, names=["split"]).reset_index("split").reset_index(drop=True)


def find_copies(
    train_images: ImageSet,
    train_rows: NDArray[np.int64],
    images: ImageSet,
    rows: NDArray[np.int64],
    min_similarity: float,
) -> pd.DataFrame:
    """Find the most similar training image of each tested image; return pairs with a similarity >= ``min_similarity``.

    The similarity of a pair is the smaller of two correlations of 16 x 16 thumbnails. The first compares fine detail in
    grey (the thumbnail minus its 4 x 4 version), so an equal sky or backdrop does not count; it chooses the pairs. The
    second compares whole colour thumbnails, so an equal outline or frame alone does not suffice. Neither changes much
    with compression, brightness or contrast, and mirrored images are compared too. Shifted, cropped and recoloured
    copies are missed. The result lists candidates that a person has to check. (Barz and Denzler 2020, arXiv:1902.00423,
    did the same for CIFAR-10, with candidates from a network's features.)

    Pairs are compared in blocks, so memory does not grow with the number of images.

    Args:
        train_rows, rows: int64 indices of the images to compare, into ``train_images`` and ``images``.

    Returns:
        Columns :data:`COLUMNS` without ``split``; ``index`` is into ``images``. The most similar pairs come first.
    """
    num_tested = _BLOCK // 512
    step = max(1, min(_STEP, _BLOCK // (2 * min(len(rows), num_tested))))
    starts = range(0, len(rows), num_tested)
    parts = []
    with progress_bar("near-duplicates", len(starts) * len(train_rows), "training images") as bar:
        for start in starts:
            tested = rows[start : start + num_tested]
            plain = _details(images.images_nhwc[tested])
            mirror = plain.reshape(-1, _SIDE, _SIDE)[:, :, ::-1].reshape(plain.shape)
            both = np.concatenate([plain, mirror])
            best, found = np.full(len(both), -1.0, np.float32), np.zeros(len(both), np.int64)
            for train_start in range(0, len(train_rows), step):
                chosen = train_rows[train_start : train_start + step]
                similarity = _details(train_images.images_nhwc[chosen]) @ both.T
                nearest = similarity.argmax(0)
                values = similarity[nearest, np.arange(len(both))]
                better = values > best
                best[better], found[better] = values[better], chosen[nearest[better]]
                bar.advance(len(chosen))
            n = len(tested)
            mirrored = best[n:] > best[:n]
            best, found = np.where(mirrored, best[n:], best[:n]), np.where(mirrored, found[n:], found[:n])
            for i in np.flatnonzero(best >= min_similarity):
                image = images.images_nhwc[tested[i]]
                other = train_images.images_nhwc[found[i]]
                in_colour = _colour_correlation(image[:, ::-1] if mirrored[i] else image, other)
                parts.append((tested[i], found[i], min(float(best[i]), in_colour), mirrored[i]))
    table = pd.DataFrame(parts, columns=list(_MEASURED)).astype(_MEASURED)
    table = table[table["similarity"] >= min_similarity]
    names = np.array(images.class_names, dtype=object)
    table["label_name"] = names[images.labels[table["index"]]]
    table["train_label_name"] = names[train_images.labels[table["train_index"]]]
    return table.sort_values("similarity", ascending=False, kind="stable", ignore_index=True)


def _details(images_nhwc: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the fine detail of each image's 16 x 16 grey thumbnail, as a vector of length 1 (N, 256).

    Fine detail is the thumbnail minus its coarse 4 x 4 version. An image without detail gets a vector of zeros.
    """
    detail = np.empty((len(images_nhwc), _SIDE * _SIDE), np.float32)
    for row, image in zip(detail, images_nhwc, strict=True):
        grey = Image.fromarray(_thumbnail(image, "L"))
        coarse = grey.resize((_COARSE, _COARSE), Image.Resampling.BOX).resize(grey.size, Image.Resampling.BILINEAR)
        row[:] = (np.asarray(grey) - np.asarray(coarse)).ravel()
    detail -= detail.mean(1, keepdims=True)
    length = np.linalg.norm(detail, axis=1, keepdims=True)
    unit: NDArray[np.float32] = np.where(length >= _MIN_DETAIL * _SIDE, detail / np.maximum(length, 1e-6), 0)
    return unit.astype(np.float32)


def _colour_correlation(one_hwc: NDArray[np.uint8], other_hwc: NDArray[np.uint8]) -> float:
    vectors = [_thumbnail(image, "RGB") - _thumbnail(image, "RGB").mean((0, 1)) for image in (one_hwc, other_hwc)]
    lengths = [float(np.linalg.norm(vector)) for vector in vectors]
    return float((vectors[0] * vectors[1]).sum() / max(lengths[0] * lengths[1], 1e-6))


def _thumbnail(image_hwc: NDArray[np.uint8], mode: str) -> NDArray[np.float32]:
    picture = Image.fromarray(np.ascontiguousarray(image_hwc)).convert(mode)
    return np.asarray(picture.resize((_SIDE, _SIDE), Image.Resampling.BOX), np.float32)
