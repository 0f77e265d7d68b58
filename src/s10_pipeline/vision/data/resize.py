"""Decode images of any size and format and resize them to a square RGB array, always by the same rule."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from pydantic import Field, field_validator

from ...identity.regular_files import regular_file
from ..errors import one_line
from ..params import Params
from .image_files import CAMERA_RAW_EXTENSIONS, IMAGE_FORMATS

# Largest accepted size of an image file in bytes. The largest image that Pillow accepts, 179 million pixels, needs less
# even if four 16-bit channels are stored uncompressed.
MAX_FILE_BYTES = 1_500_000_000

Side = Annotated[int, Field(ge=1, le=1024)]


class UnreadableImage(ValueError):
    """Error for data that is no image, or a damaged one. Its message is the reason in words: "not an image ..."."""


class ResizeRule(Params):
    """Rule by which images are resized and cropped, as stored in a model; a model with another rule is rejected.

    Attributes:
        image_size: (height, width) in pixels; both are equal.
        rule: how the image is cropped to a square.
        interpolation: how pixels are interpolated.
    """

    image_size: tuple[Side, Side]
    rule: Literal["shorter side to size, then centre crop"] = "shorter side to size, then centre crop"
    interpolation: Literal["bicubic"] = "bicubic"

    @field_validator("image_size")
    @classmethod
    def _square(cls, image_size: tuple[int, int]) -> tuple[int, int]:
        if image_size[0] != image_size[1]:
            raise ValueError(f"{image_size[0]} x {image_size[1]}: images are square")
        return image_size


def describe_rule(image_size: tuple[int, int]) -> dict[str, Any]:
    """Return the rule by which images are resized and cropped, as a dictionary that JSON can store."""
    return ResizeRule(image_size=image_size).model_dump(mode="json")


@contextmanager
def opened(file: Path) -> Iterator[io.BufferedReader]:
    """Open an image file for reading, in a context that turns OSError into UnreadableImage.

    Raises:
        UnreadableImage: the file is camera raw data, is empty, or cannot be opened or read; the message has no path.
    """
    if file.suffix.lower() in CAMERA_RAW_EXTENSIONS:
        raise UnreadableImage("camera raw data, which is not decoded here; convert it to PNG or JPEG")
    try:
        with regular_file(file, MAX_FILE_BYTES).open("rb") as stream:
            if not stream.peek(1):
                raise UnreadableImage("the file is empty")
            yield stream
    except OSError as error:
        raise UnreadableImage(f"the file cannot be read ({one_line(error)})") from error


def decode_square_rgb(data: bytes | BinaryIO, size: int) -> NDArray[np.uint8]:
    """Decode an image, given as bytes or open file, and convert it to a square RGB array (:func:`to_square_rgb`).

    The format is recognised by content. Only :data:`~.image_files.IMAGE_FORMATS` are accepted, which run no external
    program.

    Raises:
        UnreadableImage: the image cannot be decoded, or has more than 179 million pixels, which Pillow refuses as a
            possible attack. Above half of that Pillow warns, unless in :func:`~.image_files.large_images_allowed`.
    """
    stream = io.BytesIO(data) if isinstance(data, bytes) else data
    try:
        with Image.open(stream, formats=IMAGE_FORMATS) as image:
            return to_square_rgb(image, size)
    except UnidentifiedImageError as error:
        # do not quote Pillow's message: it contains the memory address of the buffer, which differs from run to run
        raise UnreadableImage("not an image in a format that is decoded here") from error
    except MemoryError:
        raise  # the image may be undamaged
    except Exception as error:  # Pillow raises OSError, SyntaxError, KeyError, ... on a broken file
        raise UnreadableImage(f"not a readable image ({one_line(error)})") from error


def to_square_rgb(image: Image.Image, size: int) -> NDArray[np.uint8]:
    """Apply EXIF orientation, convert to RGB, scale the shorter side to ``size``, crop the centre.

    An image that is already ``size`` x ``size`` keeps its pixels. Transparent images are composed over white. Only the
    first frame or page is used. Grey values of more than 8 bits are scaled, not clipped: 16 bits by 255/65535 (also for
    PGM, which Pillow converts to 16 bits). 32-bit integers and floats have no declared range; they are scaled from the
    smallest of 0-1 (floats only), 0-255 and 0-65535 that contains the image's maximum; a larger maximum becomes 255.
    Negative, infinite and undefined values become 0.

    Args:
        image: image of any Pillow mode; it is not changed.
        size: height and width of the result in pixels.

    Returns:
        uint8 (size, size, 3), 0-255.
    """
    image = _upright(image)
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        image = Image.fromarray(_to_eight_bits(image))
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    if image.mode != "RGB":
        image = image.convert("RGB")
    if image.size != (size, size):
        image = ImageOps.fit(image, (size, size), Image.Resampling.BICUBIC)
    return np.asarray(image)


def _upright(image: Image.Image) -> Image.Image:
    """Return the image rotated by its EXIF orientation; broken EXIF data, common in photographs, is ignored."""
    image.load()
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # the parser raises SyntaxError, struct.error, TypeError, ... on broken EXIF data
        return image
    return image if orientation == 1 else ImageOps.exif_transpose(image)


def _to_eight_bits(image: Image.Image) -> NDArray[np.uint8]:
    """Convert a grey image with 16-bit, 32-bit or float pixels (Pillow modes I;16*, I, F) to uint8 (H, W), 0-255."""
    grey = np.nan_to_num(np.asarray(image, dtype=np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    top = float(grey.max())
    sixteen_bits = image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM")
    if image.mode == "F" and top <= 1:
        scale = 255.0
    elif top <= 255 and not sixteen_bits:
        scale = 1.0
    else:
        scale = 255 / max(65535, top)
    return (grey * scale).clip(0, 255).round().astype(np.uint8)
