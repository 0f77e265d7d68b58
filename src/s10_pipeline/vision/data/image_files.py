"""Which image files are read: the formats that are decoded, and the search of a folder for them."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from ..errors import UserError

# Pillow hands Encapsulated PostScript to Ghostscript, a program, and metafiles to the operating system. IPTC is a
# wrapper whose content Pillow opens as any format, PostScript included. The others it names but does not decode.
_NOT_DECODED = {"EPS", "WMF", "IPTC", "BUFR", "GRIB", "HDF5", "MPEG"}

# The common formats first, which is the order in which Pillow tries them.
Image.preinit()
Image.init()
IMAGE_FORMATS: tuple[str, ...] = tuple(kind for kind in Image.ID if kind not in _NOT_DECODED)
"""``formats=`` of every ``Image.open``: a file is known by its content, whatever it is called."""

FOREIGN_EXTENSIONS = frozenset({".heic", ".heif", ".hif", ".jxl", ".svg", ".eps", ".wmf", ".emf"})
"""Pictures that are not decoded. They are reported: silence would look as if they had been read."""


class FoundFiles(NamedTuple):
    """What lies in a folder and its sub-folders, by its names.

    Attributes:
        images: paths with an extension of :func:`image_extensions`, sorted.
        foreign: those with one of :data:`FOREIGN_EXTENSIONS`, sorted.
        num_others: number of all other files, hidden ones included.
    """

    images: list[Path]
    foreign: list[Path]
    num_others: int


def image_extensions() -> set[str]:
    """Extensions, in lower case, of the formats that are decoded."""
    # MPO, stereo photographs, is no format of its own to open: Pillow's JPEG plug-in recognises it
    kinds = {*IMAGE_FORMATS, "MPO"}
    return {extension for extension, kind in Image.registered_extensions().items() if kind in kinds}


def walk_images(folder: Path, setting: str) -> FoundFiles:
    """Find the images in ``folder`` and its sub-folders by their extensions, in any case.

    Hidden files and folders (thumbnails, caches, trash) are passed over and links to folders not followed;
    ``folder`` itself may be either. Names may be no Unicode: see :func:`printable`.

    Args:
        folder: an existing folder.
        setting: ``key=value`` that named it, for the error.

    Raises:
        UserError: a folder that cannot be listed.
    """

    def stop(error: OSError) -> None:
        name = printable(str(error.filename))
        raise UserError(f"{setting}: cannot list {name} ({error.strerror}); make it readable") from error

    extensions = image_extensions()
    images, foreign, num_others = [], [], 0
    for parent, folders, names in os.walk(folder, onerror=stop):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            extension = "" if name.startswith(".") else os.path.splitext(name)[1].lower()
            if extension in extensions:
                images.append(Path(parent, name))
            elif extension in FOREIGN_EXTENSIONS:
                foreign.append(Path(parent, name))
            else:
                num_others += 1
    return FoundFiles(sorted(images), sorted(foreign), num_others)


def printable(name: str) -> str:
    r"""A file name as it can be written as UTF-8: bytes that are no Unicode (``b"\xff"``) become ``\udcff``."""
    return name.encode(errors="backslashreplace").decode()


@contextmanager
def large_images_allowed() -> Iterator[None]:
    """Read images of 89 to 179 megapixels without Pillow's warning; larger ones stay unreadable.

    Stitched panoramas and the largest cameras make such images, and the warning, one for each size on the terminal,
    asks nothing of the user. The list of warning filters belongs to the process: enter this in the main thread,
    around the threads that decode.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        yield
