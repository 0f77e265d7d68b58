"""Read CIFAR-10 and CIFAR-100 from their official Python archives (Krizhevsky, 2009) with torchvision's reader."""

import logging
import tarfile
import tempfile
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torchvision.datasets import CIFAR10, CIFAR100

from ....identity.regular_files import regular_file
from ...errors import UserError
from ..image_set import ImageSet, allocate_pixels
from ..params import IngestParams
from ..resize import to_square_rgb
from .assembly import describe_source
from .download import DownloadError, download, md5_of
from .suggestion import suggest_source

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Archive:
    """An official archive.

    Attributes:
        title: title for people.
        reader: torchvision's class, CIFAR10 or a subclass. It knows the archive's file name, address and MD5, and uses
            the fine labels of CIFAR-100.
        num_bytes: size of the archive.
    """

    title: str
    reader: type[CIFAR10]
    num_bytes: int


ARCHIVES = {
    "cifar10": Archive("CIFAR-10, official archive", CIFAR10, 170_498_071),
    "cifar100": Archive("CIFAR-100, official archive", CIFAR100, 169_001_437),
}


def read(params: IngestParams) -> tuple[ImageSet, ImageSet]:
    """Read training and test images in the archive's order; download the archive if it is missing.

    The archive is looked for at ``params.path`` (the file or its folder), then in ``params.download_dir``. Its MD5 is
    verified before anything in it is opened.

    Raises:
        UserError: the archive is missing and cannot be downloaded or written, is truncated or has a wrong checksum.
    """
    archive = ARCHIVES[params.source]
    reader = archive.reader
    setting, path = _find(params, archive) or _download(params, archive)
    with regular_file(path).open("rb") as file, tempfile.TemporaryDirectory() as folder:
        _check(file, archive, params.source, setting, path)
        _extract(file, reader, folder)
        splits = {split: reader(folder, train=split == "train") for split in ("train", "test")}
    sets = []
    for split, data in splits.items():
        source = describe_source(params, split, archive.title, f"md5:{reader.tgz_md5}")
        labels = np.asarray(data.targets, np.int64)
        sets.append(ImageSet(_resized(data.data, params.image_size), labels, tuple(data.classes), source=source))
    return sets[0], sets[1]


def _find(params: IngestParams, archive: Archive) -> tuple[str, Path] | None:
    """Return (the parameter that names its place, the archive's file), or None if it is missing."""
    filename = archive.reader.filename
    if params.path is not None:
        given = Path(params.path).expanduser()
        path = given / filename if given.is_dir() else given
        if path.is_file():
            return "ingest.path", path
        if path.exists():
            raise UserError(f"ingest.path={params.path}: {path} is not a regular file; give the archive or its folder")
        if remedy := suggest_source(given, params.source):
            raise UserError(f"ingest.path={params.path}: no {filename} there; {remedy}")
        _log.warning("ingest.path=%s: no %s there, looking in ingest.download_dir", params.path, filename)
    path = Path(params.download_dir).expanduser() / filename
    return ("ingest.download_dir", path) if path.is_file() else None


def _download(params: IngestParams, archive: Archive) -> tuple[str, Path]:
    reader = archive.reader
    target = Path(params.download_dir).expanduser() / reader.filename
    try:
        download((reader.url, *params.mirrors), target, reader.tgz_md5, archive.num_bytes)
    except DownloadError as error:
        places = " or ".join(place for place in (params.path, params.download_dir) if place)
        why = "no network" if error.offline else "no address served it"
        what = f"no archive {reader.filename} in {places}, and {why} ({error})"
        remedy = f"put {reader.filename} into {params.download_dir}, or run with --env=sample"
        raise UserError(f"ingest.source={params.source}: {what}; {remedy}") from error
    except OSError as error:
        setting, room = f"ingest.download_dir={params.download_dir}", f"{archive.num_bytes / 1e6:.0f} MB"
        what, remedy = f"cannot write {target} ({error.strerror})", f"give a folder with {room} of free space"
        raise UserError(f"{setting}: {what}; {remedy} as ingest.download_dir") from error
    return "ingest.download_dir", target


def _check(file: BufferedReader, archive: Archive, source: str, setting: str, path: Path) -> None:
    """Raise UserError if size or MD5 are wrong; the file belongs to the user, so it is never deleted."""
    reader, size = archive.reader, file.seek(0, 2)
    file.seek(0)
    if size != archive.num_bytes:
        what = "truncated" if size < archive.num_bytes and path.name == reader.filename else f"not {reader.filename}"
        wrong = f"{what}, {size:,} of {archive.num_bytes:,} bytes are there"
    elif (md5 := md5_of(file)) != reader.tgz_md5:
        wrong = f"not the official archive, its MD5 is {md5} instead of {reader.tgz_md5}"
    else:
        file.seek(0)
        return
    if setting == "ingest.download_dir":
        remedy = "delete it to have it downloaded, or put the official archive in its place"
    else:
        fits = suggest_source(path, source) if path.name != reader.filename else None
        remedy = fits or f"give the official archive, {reader.url}"
    raise UserError(f"{setting}={path}: {wrong}; {remedy}")


def _extract(file: IO[bytes], reader: type[CIFAR10], folder: str) -> None:
    """Extract only the files that torchvision's reader needs."""
    names = [name for name, _ in reader.train_list + reader.test_list] + [reader.meta["filename"]]
    wanted = {f"{reader.base_folder}/{name}" for name in names}
    with tarfile.open(fileobj=file, mode="r:gz") as tar:
        tar.extractall(folder, (member for member in tar if member.name in wanted and member.isreg()), filter="data")


def _resized(images_nhwc: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    if images_nhwc.shape[1:3] == (size, size):
        return np.ascontiguousarray(images_nhwc)
    pixels = allocate_pixels(len(images_nhwc), size, size)
    for i, image in enumerate(images_nhwc):
        pixels[i] = to_square_rgb(Image.fromarray(image), size)
    return pixels
