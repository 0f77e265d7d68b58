"""Find the image files to classify, and read them batch by batch."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..data.image_files import large_images_allowed, starts_like_an_image, walk_images
from ..data.resize import UnreadableImage, decode_square_rgb, opened, to_square_rgb
from ..data.sources.decoding import map_images, sizes_of
from ..errors import UserError, one_line

_log = logging.getLogger(__name__)

ImageLike = str | Path | Image.Image | NDArray[np.uint8]


def find_images(path: str | Path | None) -> list[Path]:
    """Return the file ``path``, or all images in the folder ``path`` and its sub-folders, sorted.

    In a folder, a file counts as an image by its extension (:func:`~..data.image_files.walk_images`) or by its first
    bytes. Pictures in unsupported formats and sub-folders that cannot be listed are returned too, so that reading them
    reports the reason. Hidden files and folders are skipped, and links to folders are not followed. The number of other
    files is logged.

    Args:
        path: value of ``predict.path``; ``~`` is expanded, relative to the working directory.

    Raises:
        UserError: the path is missing or does not exist, contains no images, or cannot be listed.
    """
    if path is None or not str(path):
        raise UserError("predict.path=null: names no images to predict; give --params=predict.path=FILE_OR_DIR")
    setting = f"predict.path={path}"
    try:
        place = Path(path).expanduser()
        reason = None if place.exists() else "no such file or folder"
    except (OSError, RuntimeError) as error:  # no permission, a name too long, or ~USER of an unknown user
        reason = one_line(error).rstrip(".")
    if reason:
        raise UserError(f"{setting}: {reason}; give the path of an image or of a folder of images")
    if not place.is_dir():
        # Do not check that the path is a regular file, because reading it later reports the reason.
        return [place]
    found = walk_images(place, setting, skip_unlistable=True)
    with large_images_allowed():
        unnamed = [file for file in found.others if not file.name.startswith(".") and starts_like_an_image(file)]
    files = sorted([*found.images, *found.foreign, *unnamed, *found.unlistable])
    if not files:
        raise UserError(
            f"{setting}: no image files (.png, .jpg, .webp, .gif, .bmp, .tif, ...) in it or its sub-folders; "
            "give a folder that has some"
        )
    if num_ignored := len(found.others) - len(unnamed):
        _log.info(
            "%s: ignored %d files that have neither the extension nor the first bytes of an image", setting, num_ignored
        )
    return files


def read_batches(
    files: Sequence[Path], size: int, batch_size: int
) -> Iterator[dict[int, NDArray[np.uint8] | UnreadableImage]]:
    """Read and resize ``batch_size`` files at a time; only one batch is in memory.

    Large files are decoded in as many threads as there are cores. Iterate over the result inside
    :func:`~..data.image_files.large_images_allowed`.

    Yields:
        Position in ``files`` -> the image, uint8 (size, size, 3), or the reason why it cannot be read.
    """
    for start in range(0, len(files), batch_size):
        chosen = files[start : start + batch_size]
        yield dict(enumerate(map_images(lambda file: _read(file, size), chosen, sizes_of(chosen)), start))


def square_pixels(image: ImageLike, size: int) -> NDArray[np.uint8]:
    """Convert an image file, Pillow image or array to uint8 (size, size, 3), resized as in :mod:`..data.resize`.

    Raises:
        UserError: the file or Pillow image cannot be read or has no pixels, or the array is not uint8 (H, W, 3).
    """
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
            raise UserError(
                f"images: an array has type {image.dtype} and shape {image.shape}; give uint8 (height, width, 3), RGB"
            )
        image = Image.fromarray(image)
    try:
        if not isinstance(image, Image.Image):
            return _read(Path(image).expanduser(), size)
        if 0 in image.size:
            raise UnreadableImage("it has no pixels")
        return to_square_rgb(image, size)
    except Exception as error:  # Pillow raises OSError, SyntaxError, KeyError, ... on a broken image
        if isinstance(image, Image.Image):
            image = f"{image.mode} image of {image.width} x {image.height} pixels"
        raise UserError(f"images: {image}: {one_line(error)}; leave this image out of images") from error


def _read(file: Path, size: int) -> NDArray[np.uint8]:
    if file.is_dir():
        raise UnreadableImage("the folder cannot be listed, so its images are missing here")
    with opened(file) as stream:
        return decode_square_rgb(stream, size)
