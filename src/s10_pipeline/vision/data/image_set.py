"""Images and labels of one split, as NumPy arrays: what every stage reads."""

from __future__ import annotations

import json
import logging
import mmap
import os
import tempfile
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...identity.digests import sha256_of
from ..errors import UserError

log = logging.getLogger(__name__)

# Above this size pixels are collected in a file, so that ingesting never needs more memory than it.
MAX_PIXEL_BYTES_IN_MEMORY = 256 * 2**20
# From this ratio of the largest to the smallest class on, accuracy hides what becomes of the small ones.
MAX_RATIO = 5


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Labelled images of one split.

    Attributes:
        images_nhwc: uint8 (N, H, W, 3), RGB, 0-255; memory-mapped when it comes from the catalog.
        labels: int64 (N,), each in [0, len(class_names)).
        class_names: one name a label, in label order; the only place that says how many classes there are.
        paths: file of each image, relative to the source's folder, where the source has files.
        groups: int64 (N,), equal for images that belong on one side of any split; None where none are known.
        validation: bool (N,), the images that the source names for validation; None where it names none.
        source: JSON-able description: at least ``name`` (ingest.source), ``split`` ("train" or "test"),
            ``title`` (for people: "CIFAR-10", "shapes10: drawn data, not CIFAR-10"), ``checksum``
            ("md5:..." or "sha256:..." of what was read), ``parameters`` (of ingest), and ``drawn`` (true)
            where the project drew the images itself.
        digest: of pixels, labels and names, where it is known already; see :func:`content_digest`.
    """

    images_nhwc: NDArray[np.uint8]
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    paths: tuple[str, ...] | None = None
    source: dict[str, Any] = field(default_factory=dict)
    digest: str | None = None
    groups: NDArray[np.int64] | None = None
    validation: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        n = len(self.labels)
        assert self.images_nhwc.dtype == np.uint8 and self.images_nhwc.ndim == 4 and self.images_nhwc.shape[3] == 3
        assert all(len(rows) == n for rows in self.by_row().values())
        assert self.labels.dtype == np.int64 and n > 0
        assert self.labels.min() >= 0 and self.labels.max() < len(self.class_names)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.images_nhwc.shape[1], self.images_nhwc.shape[2]

    def by_row(self) -> dict[str, Any]:
        """Fields that have one entry per image, as far as they are known."""
        names = ("images_nhwc", "labels", "paths", "groups", "validation")
        return {name: value for name in names if (value := getattr(self, name)) is not None}

    def select(self, rows: NDArray[np.integer[Any]]) -> ImageSet:
        """Return a copy of the images at these rows, in their order."""
        fields = self.by_row()
        pixels = allocate_pixels(len(rows), *self.image_size)
        np.take(fields.pop("images_nhwc"), rows, axis=0, out=pixels, mode="clip")  # other modes buffer all of them
        chosen: dict[str, Any] = {
            name: tuple(field[i] for i in rows) if isinstance(field, tuple) else field[rows]
            for name, field in fields.items()
        }
        return replace(self, images_nhwc=pixels, **chosen, digest=None)

    def __getstate__(self) -> dict[str, Any]:
        """A memory map travels to worker processes as its file name, not as gigabytes of pixels."""
        state = dict(self.__dict__)
        pixels = self.images_nhwc
        # a slice of a map has the file name of the whole, but not its offset: only the whole can be opened again
        whole = isinstance(pixels.base, mmap.mmap) and pixels.flags.c_contiguous
        if whole and isinstance(pixels, np.memmap) and pixels.filename:
            state["images_nhwc"] = (os.fspath(pixels.filename), pixels.offset, pixels.shape)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        pixels = state["images_nhwc"]
        if isinstance(pixels, tuple):
            filename, offset, shape = pixels
            state["images_nhwc"] = np.memmap(filename, np.uint8, mode="r", offset=offset, shape=shape)
        self.__dict__.update(state)


def content_digest(images: ImageSet) -> str:
    """SHA-256 of shape, pixels, labels and class names: equal for equal content, wherever it came from."""
    if images.digest is not None:
        return images.digest
    header = json.dumps([images.images_nhwc.shape, images.class_names]).encode()
    return sha256_of(header, np.ascontiguousarray(images.images_nhwc), np.ascontiguousarray(images.labels))


def warn_of_unequal_classes(images: ImageSet) -> None:
    """Log a warning where the largest class has over five times the images of the smallest."""
    counts = np.bincount(images.labels, minlength=len(images.class_names))
    most, least = int(counts.argmax()), int(counts.argmin())
    if counts[most] > MAX_RATIO * counts[least]:
        log.warning(
            "classes are unequal: %s has %d training images, %s has %d; accuracy hides small classes, so look at the "
            "balanced accuracy", images.class_names[most], counts[most], images.class_names[least], counts[least],
        )  # fmt: skip


def allocate_pixels(num_images: int, height: int, width: int) -> NDArray[np.uint8]:
    """An array (num_images, height, width, 3) to be filled: in memory, or above 256 MiB in a file.

    The file has no name, lies in the folder for temporary files (TMPDIR) and is gone with the array.

    Raises:
        UserError: that folder has too little space, all of which is reserved.
    """
    shape = (num_images, height, width, 3)
    num_bytes = num_images * height * width * 3
    if num_bytes <= MAX_PIXEL_BYTES_IN_MEMORY:
        return np.empty(shape, np.uint8)
    folder = tempfile.gettempdir()
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            # of a sparse file, a write to the map on a full disk would kill the process
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, num_bytes)
            pixels = np.memmap(file, np.uint8, mode="w+", shape=shape)
    except OSError as error:
        raise UserError(
            f"TMPDIR={folder}: {num_images:,} images of {height} x {width} need {num_bytes / 1e9:.1f} GB there "
            f"({error.strerror}); set TMPDIR to a folder with more space, or lower ingest.image_size"
        ) from error
    pixels.filename = None  # on some systems the file has a name for as long as it is open: none to pickle by
    return pixels
