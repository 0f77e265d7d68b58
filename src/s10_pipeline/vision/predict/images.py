"""The user's image files: finding them, and reading them batch by batch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..data.image_files import large_images_allowed, printable, walk_images
from ..data.resize import UnreadableImage, decode_square_rgb
from ..errors import UserError


def find_images(path: str | Path | None) -> list[Path]:
    """A file, whatever its name, or all images of a folder and its sub-folders, sorted by path.

    In a folder, images are known by their extension (:func:`~..data.image_files.walk_images`). Pictures in a format
    that is not decoded are listed too: reading them gives the reason.

    Args:
        path: ``predict.path``; ``~`` is expanded, relative to the working directory.

    Raises:
        UserError: no path, nothing there, no images, or a folder that cannot be listed.
    """
    if path is None or not str(path):
        raise UserError(
            "predict.path=null: which images to predict is not said; give --params=predict.path=FILE_OR_DIR"
        )
    place = Path(path).expanduser()
    setting = f"predict.path={printable(str(path))}"
    if place.is_file():
        return [place]
    if not place.is_dir():
        raise UserError(f"{setting}: no such file or folder; give the path of an image or of a folder of images")
    images, foreign, _ = walk_images(place, setting)
    if not images and not foreign:
        raise UserError(
            f"{setting}: no image files (.png, .jpg, .webp, ...) here or below; give a folder that has some"
        )
    return sorted(images + foreign)


@dataclass
class ImageBatch:
    """Some files in a row, read or not.

    Attributes:
        images_nhwc: uint8 (N, size, size, 3), RGB: the readable ones, in order.
        positions: of each of them among all files.
        reasons: position of an unreadable file -> why.
    """

    images_nhwc: NDArray[np.uint8]
    positions: list[int] = field(default_factory=list)
    reasons: dict[int, str] = field(default_factory=dict)


def read_batches(files: Sequence[Path], size: int, batch_size: int) -> Iterator[ImageBatch]:
    """Read ``batch_size`` files at a time by the rule of :mod:`..data.resize`; one batch is in memory."""
    for start in range(0, len(files), batch_size):
        images, batch = [], ImageBatch(np.empty((0, size, size, 3), np.uint8))
        for position, file in enumerate(files[start : start + batch_size], start):
            try:
                images.append(_read(file, size))
            except UnreadableImage as error:
                batch.reasons[position] = str(error)
            else:
                batch.positions.append(position)
        if images:
            batch.images_nhwc = np.stack(images)
        yield batch


def _read(file: Path, size: int) -> NDArray[np.uint8]:
    try:
        content = file.read_bytes()
    except OSError as error:
        # without the path, which the message would repeat
        raise UnreadableImage(f"the file cannot be read ({error.strerror or type(error).__name__})") from error
    if not content:
        raise UnreadableImage("the file is empty")
    with large_images_allowed():
        return decode_square_rgb(content, size)
