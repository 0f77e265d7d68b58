"""Test and validation images that also are, nearly, among the training images: a model can know those by heart.

All pairs are compared: 10,000 with 50,000 images take seconds, and there is no hash to tune.
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

_SIDE, _COARSE = 16, 4
# less detail than this deviation in grey levels is compression noise
_MIN_DETAIL = 1.0
# similarities in memory at once: 64 MiB
_BLOCK = 2**24
# training images at once, however few the test images are: the bar moves after each such step
_STEP = 2048


def find_near_duplicates(
    train_images: ImageSet, test_images: ImageSet, train_set: Split, val_set: Split, min_similarity: float | None
) -> pd.DataFrame:
    """List copies of training images among test images, and among validation images those of images trained on.

    Args:
        min_similarity: None lists nothing.

    Returns:
        Columns :data:`COLUMNS` of :func:`find_copies` with ``split``, "test" or "val", of the image at ``index``.
    """
    if min_similarity is None:
        return pd.DataFrame(columns=COLUMNS).astype({"split": "str", **_MEASURED})
    everything = np.arange(len(train_images))
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
    """For each image the training image whose detail is most alike, where both are as good as the same.

    The similarity is the smaller of two correlations of 16 x 16 thumbnails: in grey without the coarse 4 x 4 content,
    by which pairs are found and which is not taken in by equal skies and backdrops; and in colour, with it, which is
    not taken in by equal outlines and frames. Both see through compression and a change of brightness or contrast, and
    mirror images are tried too. Shifted, cropped and recoloured copies escape. What is found are candidates: a person
    has to look. (Barz and Denzler 2020, arXiv:1902.00423, did so for CIFAR-10, with candidates from a network's
    features.)

    All pairs are compared in blocks: memory stays flat.

    Args:
        train_rows, rows: int64, of the images that are compared.

    Returns:
        Columns :data:`COLUMNS` but the first, the most similar first.
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
    """Unit vectors (N, 256) of the images' detail; zero where there is next to none."""
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
