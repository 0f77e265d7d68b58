"""The user's image files: finding them, and reading them batch by batch."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..data.resize import UnreadableImage, decode_square_rgb
from ..errors import UserError

# Formats that Pillow names but does not decode by itself, and Encapsulated PostScript, which runs a program.
_NOT_DECODED = {"BUFR", "GRIB", "HDF5", "MPEG", "EPS", "WMF"}
# Images that Pillow cannot open are listed with that reason; silence would look as if they had been read.
_FOREIGN_EXTENSIONS = {".heic", ".heif", ".jxl", ".svg"}


def image_extensions() -> set[str]:
    """Extensions, in lower case, of the files that are taken for images."""
    Image.init()
    known = Image.registered_extensions().items()
    readable = {extension for extension, kind in known if kind in Image.OPEN and kind not in _NOT_DECODED}
    return readable | _FOREIGN_EXTENSIONS


def find_images(path: str | Path | None) -> list[Path]:
    """A file, whatever its name, or all images of a folder and its sub-folders, sorted by path.

    In a folder, images are known by their extension; hidden files and folders are passed over, links to
    folders are not followed.

    Args:
        path: ``predict.path``; ``~`` is expanded, relative to the working directory.

    Raises:
        UserError: no path, nothing there, or no images.
    """
    if path is None or not str(path):
        raise UserError(
            "predict.path=null: which images to predict is not said; give --params=predict.path=FILE_OR_DIR"
        )
    place = Path(path).expanduser()
    if place.is_file():
        return [place]
    if not place.is_dir():
        raise UserError(
            f"predict.path={path}: no such file or folder; give the path of an image or of a folder of images"
        )
    extensions, found = image_extensions(), []
    for folder, folders, names in os.walk(place):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [
            Path(folder, name)
            for name in names
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in extensions
        ]
    if not found:
        raise UserError(
            f"predict.path={path}: no image files (.png, .jpg, .webp, ...) here or below; give a folder that has some"
        )
    return sorted(found)


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
    return decode_square_rgb(content, size)
