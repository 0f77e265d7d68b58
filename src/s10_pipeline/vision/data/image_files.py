"""Supported image formats, and the search for image files in a folder."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from ..errors import UserError

# Pillow formats that are not decoded. Three are unsafe: EPS is run by the program Ghostscript, WMF is drawn by the
# operating system, and an IPTC file may contain EPS. Pillow recognises the other four, but cannot decode them.
_NOT_DECODED = {"EPS", "WMF", "IPTC", "BUFR", "GRIB", "HDF5", "MPEG"}

# Call preinit() before init(): it registers the common formats, so Pillow tries these first when it opens a file.
Image.preinit()
Image.init()
IMAGE_FORMATS: tuple[str, ...] = tuple(kind for kind in Image.ID if kind not in _NOT_DECODED)
"""The value of ``formats=`` in calls of ``Image.open``, which recognises a format by content, not by file name."""

# fmt: off
CAMERA_RAW_EXTENSIONS = frozenset({
    ".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".fff", ".iiq", ".kdc", ".mef", ".mos", ".mrw",
    ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".rwl", ".sr2", ".srf", ".srw", ".x3f",
})
# fmt: on
"""Camera raw files. Many are TIFF files that begin with a thumbnail, so Pillow would read the thumbnail instead."""

FOREIGN_EXTENSIONS = CAMERA_RAW_EXTENSIONS | {".heic", ".heif", ".hif", ".jxl", ".svg", ".eps", ".wmf", ".emf"}
"""Pictures in unsupported formats. They are reported, so that nobody thinks that they were read."""


class FoundFiles(NamedTuple):
    """Sorted lists of the files in a folder and its sub-folders, one list per kind of file extension.

    Attributes:
        images: files with one of :func:`image_extensions`.
        foreign: files with one of :data:`FOREIGN_EXTENSIONS`.
        others: all other files, hidden ones included.
        unlistable: folders that could not be listed.
    """

    images: list[Path]
    foreign: list[Path]
    others: list[Path]
    unlistable: list[Path]


def image_extensions() -> set[str]:
    """Return the extensions, in lower case, of the formats that are decoded."""
    # add MPO (stereo photographs): it is not in IMAGE_FORMATS, but Pillow's JPEG plug-in opens such files
    kinds = {*IMAGE_FORMATS, "MPO"}
    return {extension for extension, kind in Image.registered_extensions().items() if kind in kinds}


def walk_images(folder: Path, setting: str, *, skip_unlistable: bool = False) -> FoundFiles:
    """Find the images in ``folder`` and its sub-folders by their extensions, in upper or lower case.

    Hidden folders are skipped, and hidden files (thumbnails, caches) do not count as images. Links to folders are not
    followed. ``folder`` itself may be hidden or a link. Names may contain bytes that are not Unicode
    (:func:`printable`).

    Args:
        folder: an existing folder.
        setting: ``key=value`` that named the folder, for error messages.
        skip_unlistable: put sub-folders that cannot be listed into ``unlistable`` instead of raising an error.

    Raises:
        UserError: a folder cannot be listed.
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
    """Turn an OSError within the context into a UserError that says which folder cannot be listed."""
    try:
        yield
    except OSError as error:
        raise UserError(f"{setting}: cannot list {error.filename} ({error.strerror}); make it readable") from error


def printable(name: str) -> str:
    r"""Return a file name in a printable form: a byte that is not UTF-8 (``b"\xff"``) is written as ``\udcff``."""
    return name.encode(errors="backslashreplace").decode()


def starts_like_an_image(file: Path) -> bool:
    """Return whether the file's content has the header of a PNG, JPEG, GIF, WebP or AVIF image."""
    if not file.is_file():
        return False  # do not open a pipe or device, because reading it might block
    try:
        with Image.open(file, formats=("PNG", "JPEG", "GIF", "WEBP", "AVIF")):
            return True
    except Exception:  # Pillow raises various exceptions on a broken header, so catch them all
        return False


@contextmanager
def large_images_allowed() -> Iterator[None]:
    """Silence Pillow's warnings about images of 89 to 179 megapixels and about slightly damaged ones.

    Panoramas and large cameras produce such sizes, and many cameras write damaged tags, so the user need not act on
    these warnings. Larger images still raise an error. Warning filters are global to the process, so enter this context
    in the main thread, around the threads that decode.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
        yield
