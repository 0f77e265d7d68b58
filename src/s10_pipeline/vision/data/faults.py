"""Plant faults such as wrong labels into the data on purpose (``ingest.plant``), to test what the report finds."""

import dataclasses
import io
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter, ImageOps

from ..errors import UserError, did_you_mean
from .image_set import ImageSet, allocate_pixels

Rng = np.random.Generator
Pixels = NDArray[np.uint8]
Rows = NDArray[np.integer[Any]]
# Result of planting one fault: training images, test images, indices of the affected training images, indices of the
# affected test images.
Planted = tuple[ImageSet, ImageSet, Rows, Rows]

NO_ROWS = np.empty(0, np.int64)
# Text in the title of a data source, and of each model trained on it, as a warning that faults were planted.
PLANTED = "planted faults"


def parse_faults(text: str) -> list[tuple[str, list[str]]]:
    """Parse a value of ``ingest.plant``, ``NAME:ARGUMENT+NAME:ARGUMENT...``, into a list of (name, arguments).

    Raises:
        ValueError: a name is unknown, or its arguments do not have the form in :data:`FAULTS`.
    """
    found = []
    for part in re.split(rf"\+(?=(?:{'|'.join(FAULTS)}):)", text):
        name, _, arguments = part.partition(":")
        if name not in FAULTS:
            raise ValueError(f"plant={part}: no such fault; {did_you_mean(name, FAULTS)}")
        pattern, form, _ = FAULTS[name]
        match = re.fullmatch(pattern, arguments)
        if match is None:
            at_least = " with a NUMBER of 1 or more" if "NUMBER" in form else ""
            raise ValueError(f"plant={part}: must have the form {name}:{form}{at_least}")
        found.append((name, [group for group in match.groups() if group is not None]))
    return found


def plant_faults(train: ImageSet, test: ImageSet, text: str, seed: int) -> tuple[ImageSet, ImageSet]:
    """Plant each fault named in ``text``, a value of ``ingest.plant``; the same ``seed`` plants the same faults.

    Returns:
        (train, test). Each ``source`` has ``faults`` (fault -> indices of the affected images) and a title that names
        the faults.

    Raises:
        UserError: there are too few images for a fault, or no such class.
    """
    rows: dict[str, dict[str, list[int]]] = {"train": {}, "test": {}}
    # plant the fault "starve" first: it removes training images, which changes the indices noted for other faults
    for number, (name, arguments) in enumerate(sorted(parse_faults(text), key=lambda fault: fault[0] != "starve")):
        train, test, *changed = FAULTS[name][2](train, test, np.random.default_rng([seed, number]), *arguments)
        for split, indices in zip(rows, changed, strict=True):
            rows[split][":".join([name, *arguments])] = np.sort(indices).tolist()
    noted = []
    for images, faults in zip((train, test), rows.values(), strict=True):
        title = f"{images.source.get('title', '')}; {PLANTED}: {text}"
        source = {**images.source, "title": title, "faults": faults}
        noted.append(dataclasses.replace(images, source=source, digest=None))
    return noted[0], noted[1]


def _labels(train: ImageSet, test: ImageSet, rng: Rng, share: str, similar: bool = False) -> Planted:
    """Give a share of training and test images a wrong label: random, or the most similar class if ``similar``."""
    num_classes = len(train.class_names)
    alike = _most_alike(train) if similar else None
    parts, changed = [], []
    for images in (train, test):
        rows = rng.choice(len(images), round(float(share) * len(images)), replace=False)
        labels = images.labels.copy()
        any_other = (labels[rows] + rng.integers(1, num_classes, len(rows))) % num_classes
        labels[rows] = any_other if alike is None else alike[labels[rows]]
        parts.append(dataclasses.replace(images, labels=labels))
        changed.append(rows)
    return parts[0], parts[1], changed[0], changed[1]


def _most_alike(images: ImageSet) -> Rows:
    """Return, for each of the K classes, the index of the class whose images look most similar, int64 (K,).

    That class has the nearest mean in a linear discriminant analysis. The features are the amplitudes of the image's
    Fourier transform, which do not depend on the position of the object.
    """
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    rows = np.linspace(0, len(images) - 1, min(len(images), 5000)).astype(int)
    grey = [np.asarray(Image.fromarray(images.images_nhwc[i]).convert("L").resize((32, 32)), float) for i in rows]
    spectra = np.log1p(np.abs(np.fft.rfft2(grey))).reshape(len(rows), -1)
    discriminant = LinearDiscriminantAnalysis(solver="eigen", shrinkage="auto").fit(spectra, images.labels[rows])
    means = discriminant.transform(discriminant.means_)
    distances = np.linalg.norm(means[:, None] - means, axis=2)
    np.fill_diagonal(distances, np.inf)
    alike = np.arange(len(images.class_names))
    alike[discriminant.classes_] = discriminant.classes_[distances.argmin(1)]
    return alike


def _duplicates(train: ImageSet, test: ImageSet, rng: Rng, number: str) -> Planted:
    """Replace training images and their labels by copies of other training images, preferably of the same class."""
    rows = _some(rng, len(train), 2 * int(number), f"duplicates:{number}", "training images (two for each pair)")
    # sort by label, so that where possible an image is replaced by a copy of an image of the same class
    rows = rows[np.argsort(train.labels[rows], kind="stable")]
    kept, replaced = rows[::2], rows[1::2]
    return _replaced(train, replaced, train.images_nhwc[kept], train.labels[kept]), test, rows, NO_ROWS


def _leak(train: ImageSet, test: ImageSet, rng: Rng, number: str, how: str = "exact") -> Planted:
    """Replace training images and their labels by copies of test images and labels."""
    leaked = _some(rng, len(test), int(number), f"leak:{number}", "test images")
    replaced = _some(rng, len(train), int(number), f"leak:{number}", "training images")
    copies = _changed(test, leaked, how)
    return _replaced(train, replaced, copies, test.labels[leaked]), test, replaced, leaked


def _starve(train: ImageSet, test: ImageSet, rng: Rng, name: str, number: str) -> Planted:
    """Keep only ``number`` random training images of the class ``name``, and all images of the other classes."""
    if name not in train.class_names:
        raise UserError(
            f"ingest.plant=starve:{name}: the images have no class {name}; {did_you_mean(name, train.class_names)}"
        )
    of_class = np.flatnonzero(train.labels == train.class_names.index(name))
    some = _some(rng, len(of_class), int(number), f"starve:{name}:{number}", f"training images of {name}")
    dropped = np.setdiff1d(of_class, of_class[some])
    kept = np.setdiff1d(np.arange(len(train)), dropped)
    return train.select(kept), test, np.flatnonzero(np.isin(kept, of_class)), NO_ROWS


def _shift(train: ImageSet, test: ImageSet, rng: Rng, how: str) -> Planted:
    """Blur (``how="blur"``) or darken (``how="brightness"``) all test images, but no training images."""
    rows = np.arange(len(test))
    return train, _replaced(test, rows, _changed(test, rows, how), test.labels), NO_ROWS, rows


def _some(rng: Rng, total: int, needed: int, fault: str, kind: str) -> Rows:
    if needed > total:
        raise UserError(f"ingest.plant={fault}: needs {needed:,} {kind}, but there are {total:,}; lower the number")
    rows: Rows = rng.choice(total, needed, replace=False)
    return rows


def _changed(images: ImageSet, rows: Rows, how: str) -> Pixels:
    return np.stack([np.asarray(CHANGES[how](Image.fromarray(images.images_nhwc[row]))) for row in rows])


def _replaced(images: ImageSet, rows: Rows, pixels: Pixels, labels: Rows) -> ImageSet:
    changed, changed_labels = allocate_pixels(len(images), *images.image_size), images.labels.copy()
    changed[...] = images.images_nhwc
    changed[rows], changed_labels[rows] = pixels, labels
    return dataclasses.replace(images, images_nhwc=changed, labels=changed_labels)


def _reencoded(image: Image.Image) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=75)
    return Image.open(buffer)


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "exact": lambda image: image,
    "reencoded": _reencoded,
    "flipped": ImageOps.mirror,
    "cropped": lambda image: ImageOps.crop(image, image.width // 16).resize(image.size, Image.Resampling.BILINEAR),
    "blur": lambda image: image.filter(ImageFilter.GaussianBlur(image.width / 36)),
    "brightness": lambda image: image.point(lambda grey: int(0.6 * grey)),
}

# Fault name in ingest.plant -> regular expression of its arguments, form of the arguments for error messages, function
# that plants the fault.
FAULTS: dict[str, tuple[str, str, Callable[..., Planted]]] = {
    "labels": (r"(0?\.\d+)", "SHARE, below 1", _labels),
    "labels_similar": (r"(0?\.\d+)", "SHARE, below 1", partial(_labels, similar=True)),
    "duplicates": (r"([1-9]\d*)", "NUMBER", _duplicates),
    "leak": (r"([1-9]\d*)(?::(reencoded|flipped|cropped))?", "NUMBER[:reencoded|flipped|cropped]", _leak),
    "starve": (r"(.+):([1-9]\d*)", "CLASS:NUMBER", _starve),
    "shift": (r"(blur|brightness)", "blur|brightness", _shift),
}
