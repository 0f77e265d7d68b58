"""The one rule by which an image of any size and format becomes a square RGB array."""

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

# More than any image that Pillow does not take for an attack: 179 million pixels of four channels of 16 bits.
MAX_FILE_BYTES = 1_500_000_000

Side = Annotated[int, Field(ge=1, le=1024)]


class UnreadableImage(ValueError):
    """Bytes that are no image, or a broken one. The message is a reason for people: "not an image ..."."""


class ResizeRule(Params):
    """The rule as stored in a model; one of another version is no valid value.

    Attributes:
        image_size: (height, width) in pixels, which are equal.
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
    """The rule as stored beside pixels, JSON-able."""
    return ResizeRule(image_size=image_size).model_dump(mode="json")


@contextmanager
def opened(file: Path) -> Iterator[io.BufferedReader]:
    """An image file, open for reading.

    Raises:
        UnreadableImage: it cannot be opened or read, also by what is done in the context; without the path.
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
    """:func:`to_square_rgb` of an encoded image (a PNG, JPEG, ... file, its content or opened).

    The format is known by the content and is one of :data:`~.image_files.IMAGE_FORMATS`, none of which runs a program.

    Raises:
        UnreadableImage: not decodable, or so many pixels (over 179 million) that Pillow takes it for an attack. Above
            half as many Pillow warns, unless in :func:`~.image_files.large_images_allowed`.
    """
    stream = io.BytesIO(data) if isinstance(data, bytes) else data
    try:
        with Image.open(stream, formats=IMAGE_FORMATS) as image:
            return to_square_rgb(image, size)
    except UnidentifiedImageError as error:
        # Pillow's own message holds the address of the buffer, which differs from run to run
        raise UnreadableImage("not an image in a format that is decoded here") from error
    except Exception as error:  # on a broken file a plug-in raises OSError, SyntaxError, KeyError, ...
        raise UnreadableImage(f"not a readable image ({one_line(error)})") from error


def to_square_rgb(image: Image.Image, size: int) -> NDArray[np.uint8]:
    """Apply EXIF orientation, convert to RGB, scale the shorter side to ``size``, crop the centre.

    An image that is ``size`` x ``size`` already keeps its pixels. Transparency is laid over white. Of several
    frames or pages the first counts. Grey of more than 8 bits is scaled, not clipped: 16 bits by 255/65535 (PGM too,
    which Pillow stretches to 16 bits); 32-bit integers and floats, which carry no range, as if they were 0-1 (floats
    only), 0-255 or 0-65535, whichever is the smallest range that holds the image's maximum.

    Args:
        image: any mode that Pillow opens; not changed.
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
    """Turned as its EXIF orientation says. Broken EXIF data, common in photographs, is ignored."""
    image.load()
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # SyntaxError, struct.error, TypeError, ...: whatever the parser of TIFF headers stumbles over
        return image
    return image if orientation == 1 else ImageOps.exif_transpose(image)


def _to_eight_bits(image: Image.Image) -> NDArray[np.uint8]:
    """uint8 (H, W), 0-255, of a grey image of mode I;16*, I or F."""
    grey = np.nan_to_num(np.asarray(image, dtype=np.float32), nan=0.0)
    top = float(grey.max())
    sixteen_bits = image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM")
    if image.mode == "F" and top <= 1:
        scale = 255.0
    elif top <= 255 and not sixteen_bits:
        scale = 1.0
    else:
        scale = 255 / 65535
    return (grey * scale).clip(0, 255).round().astype(np.uint8)
