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

# fmt: off
CAMERA_RAW_EXTENSIONS = frozenset({
    ".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".fff", ".iiq", ".kdc", ".mef", ".mos", ".mrw",
    ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".rwl", ".sr2", ".srf", ".srw", ".x3f",
})
# fmt: on
"""Sensor data. Many are TIFF files whose first picture is a thumbnail: opened as images they would seem to be read."""

FOREIGN_EXTENSIONS = CAMERA_RAW_EXTENSIONS | {".heic", ".heif", ".hif", ".jxl", ".svg", ".eps", ".wmf", ".emf"}
"""Pictures that are not decoded. They are reported: silence would look as if they had been read."""


class FoundFiles(NamedTuple):
    """What lies in a folder and its sub-folders, by its names.

    Attributes:
        images: paths with an extension of :func:`image_extensions`, sorted.
        foreign: those with one of :data:`FOREIGN_EXTENSIONS`, sorted.
        others: all other files, hidden ones included, sorted.
        unlistable: folders whose content cannot be known, sorted.
    """

    images: list[Path]
    foreign: list[Path]
    others: list[Path]
    unlistable: list[Path]


def image_extensions() -> set[str]:
    """Extensions, in lower case, of the formats that are decoded."""
    # MPO, stereo photographs, is no format of its own to open: Pillow's JPEG plug-in recognises it
    kinds = {*IMAGE_FORMATS, "MPO"}
    return {extension for extension, kind in Image.registered_extensions().items() if kind in kinds}


def walk_images(folder: Path, setting: str, *, skip_unlistable: bool = False) -> FoundFiles:
    """Find the images in ``folder`` and its sub-folders by their extensions, in any case.

    Hidden files and folders (thumbnails, caches, trash) are passed over and links to folders not followed;
    ``folder`` itself may be either. Names may be no Unicode: see :func:`printable`.

    Args:
        folder: an existing folder.
        setting: ``key=value`` that named it, for the error.
        skip_unlistable: name sub-folders that cannot be listed in the result instead of ending there.

    Raises:
        UserError: a folder that cannot be listed.
    """
    images, foreign, others, unlistable = found = FoundFiles([], [], [], [])

    def stop(error: OSError) -> None:
        if skip_unlistable and Path(error.filename) != folder:
            unlistable.append(Path(error.filename))
            return
        raise error

    extensions = image_extensions()
    with listing(setting):
        for parent, folders, names in os.walk(folder, onerror=stop):
            folders[:] = [name for name in folders if not name.startswith(".")]
            for name in names:
                extension = "" if name.startswith(".") else os.path.splitext(name)[1].lower()
                kind = images if extension in extensions else foreign if extension in FOREIGN_EXTENSIONS else others
                kind.append(Path(parent, name))
    return FoundFiles(*map(sorted, found))


@contextmanager
def listing(setting: str) -> Iterator[None]:
    """Raises UserError for a folder, named by ``setting`` or inside, that the system does not let us look into."""
    try:
        yield
    except OSError as error:
        raise UserError(f"{setting}: cannot list {error.filename} ({error.strerror}); make it readable") from error


def printable(name: str) -> str:
    r"""A file name as it can be written as UTF-8: bytes that are no Unicode (``b"\xff"``) become ``\udcff``."""
    return name.encode(errors="backslashreplace").decode()


def starts_like_an_image(file: Path) -> bool:
    """Whether the content begins like one of the formats that nothing else can be mistaken for."""
    if not file.is_file():
        return False  # a pipe or device would wait, or never end
    try:
        with Image.open(file, formats=("PNG", "JPEG", "GIF", "WEBP", "AVIF")):
            return True
    except Exception:  # OSError, and whatever a plug-in raises on a broken header
        return False


@contextmanager
def large_images_allowed() -> Iterator[None]:
    """Read images of 89 to 179 megapixels, and slightly damaged ones, without Pillow's warnings.

    Larger ones stay unreadable. Stitched panoramas and the largest cameras make such images, cameras write damaged
    tags, and the warnings, one for each size and tag on the terminal, ask nothing of the user. The list of warning
    filters belongs to the process: enter this in the main thread, around the threads that decode.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
        yield
