"""Define the image set: images and labels of one split as NumPy arrays, which all stages read."""

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

# Pixel arrays of more than this many bytes are kept in a temporary file, so that ingesting needs little memory.
MAX_PIXEL_BYTES_IN_MEMORY = 256 * 2**20
# Above this ratio of the largest to the smallest class, the accuracy says little about the small classes.
MAX_RATIO = 5


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Labelled images of one split.

    Attributes:
        images_nhwc: uint8 (N, H, W, 3), RGB, 0-255; a memory map when loaded from the catalog.
        labels: int64 (N,), each in [0, len(class_names)).
        class_names: one name per label, in label order; its length is the number of classes.
        paths: file of each image, relative to the source's folder; None if the source has no files.
        source: description that JSON can store. It has at least ``name`` (value of ``ingest.source``), ``split``
            ("train" or "test"), ``title`` (for people, such as "shapes10: drawn data, not CIFAR-10"), ``checksum`` of
            the files read ("md5:..." or "sha256:...") and ``parameters`` (of ingest); and ``drawn`` (true) if the
            project drew the images itself.
        digest: digest of pixels, labels and class names if already known; see :func:`content_digest`.
        groups: int64 (N,). Images with equal numbers must be in the same split; None without groups.
        validation: bool (N,), true for images that the source assigns to validation; None if it assigns none.
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
        """Return the fields of the image set that have one entry per image, without those that are None."""
        names = ("images_nhwc", "labels", "paths", "groups", "validation")
        return {name: value for name in names if (value := getattr(self, name)) is not None}

    def select(self, rows: NDArray[np.integer[Any]]) -> ImageSet:
        """Return a new image set with copies of the images at ``rows``, in the order of ``rows``."""
        fields = self.by_row()
        pixels = allocate_pixels(len(rows), *self.image_size)
        np.take(fields.pop("images_nhwc"), rows, axis=0, out=pixels, mode="clip")  # mode="raise" would buffer it
        chosen: dict[str, Any] = {
            name: tuple(field[i] for i in rows) if isinstance(field, tuple) else field[rows]
            for name, field in fields.items()
        }
        return replace(self, images_nhwc=pixels, **chosen, digest=None)

    def __getstate__(self) -> dict[str, Any]:
        """Pickle a memory map as its file name, so that no gigabytes of pixels are sent to worker processes."""
        state = dict(self.__dict__)
        pixels = self.images_nhwc
        # a slice of a memory map has the file name but a wrong offset, so only a whole map is pickled as its file name
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
    """Return the SHA-256 of shape, pixels, labels and class names, which does not depend on the source."""
    if images.digest is not None:
        return images.digest
    header = json.dumps([images.images_nhwc.shape, images.class_names]).encode()
    return sha256_of(header, np.ascontiguousarray(images.images_nhwc), np.ascontiguousarray(images.labels))


def warn_of_unequal_classes(images: ImageSet) -> None:
    """Log a warning if the largest class has more than five times as many images as the smallest."""
    counts = np.bincount(images.labels, minlength=len(images.class_names))
    most, least = int(counts.argmax()), int(counts.argmin())
    if counts[most] > MAX_RATIO * counts[least]:
        log.warning(
            "classes are unbalanced: %s has %d training images, %s has %d; accuracy says little about small classes, "
            "use balanced accuracy", images.class_names[most], counts[most], images.class_names[least], counts[least],
        )  # fmt: skip


def allocate_pixels(num_images: int, height: int, width: int) -> NDArray[np.uint8]:
    """Allocate a pixel array (num_images, height, width, 3): up to 256 MiB in memory, a larger one in a temporary file.

    The file is in the folder for temporary files (TMPDIR) and is deleted with the array.

    Raises:
        UserError: that folder has too little free space; all of the needed space is reserved at once.
    """
    shape = (num_images, height, width, 3)
    num_bytes = num_images * height * width * 3
    if num_bytes <= MAX_PIXEL_BYTES_IN_MEMORY:
        return np.empty(shape, np.uint8)
    folder = tempfile.gettempdir()
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            # reserve disk space now: writing to a memory-mapped sparse file on a full disk would kill the process
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, num_bytes)
            pixels = np.memmap(file, np.uint8, mode="w+", shape=shape)
    except OSError as error:
        raise UserError(
            f"TMPDIR={folder}: {num_images:,} images of {height} x {width} need {num_bytes / 1e9:.1f} GB there "
            f"({error.strerror}); set TMPDIR to a folder with more space, or lower ingest.image_size"
        ) from error
    # the temporary file is already deleted, so clear the name that np.memmap may have recorded: pickling then stores
    # the pixels instead of the name
    pixels.filename = None
    return pixels
