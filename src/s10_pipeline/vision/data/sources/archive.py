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
    """The official archive of CIFAR-10 or CIFAR-100: its title, its reader in torchvision and its size.

    Attributes:
        title: title for people.
        reader: torchvision's class, CIFAR10 or a subclass. It knows the archive's file name, URL and MD5, and uses the
            fine labels of CIFAR-100.
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
    """Look for the CIFAR archive at ``ingest.path``, then in ``ingest.download_dir``.

    Returns:
        (name of the parameter that led to the archive, path of the archive), or None if the archive is in neither.
    """
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
        _log.warning("ingest.path=%s: no archive %s there, so ingest.download_dir is searched", params.path, filename)
    path = Path(params.download_dir).expanduser() / filename
    return ("ingest.download_dir", path) if path.is_file() else None


def _download(params: IngestParams, archive: Archive) -> tuple[str, Path]:
    reader = archive.reader
    target = Path(params.download_dir).expanduser() / reader.filename
    try:
        download((reader.url, *params.mirrors), target, reader.tgz_md5, archive.num_bytes)
    except DownloadError as error:
        folders = " or ".join(folder for folder in (params.path, params.download_dir) if folder)
        download_failure = "no network" if error.offline else "no address served it"
        raise UserError(
            f"ingest.source={params.source}: no archive {target.name} in {folders}, and {download_failure} ({error}); "
            f"put {target.name} into {params.download_dir}, or run with --env=sample"
        ) from error
    except OSError as error:
        megabytes = round(archive.num_bytes / 1e6)
        raise UserError(
            f"ingest.download_dir={params.download_dir}: cannot write {target} ({error.strerror}); give a folder with "
            f"{megabytes} MB of free space as ingest.download_dir"
        ) from error
    return "ingest.download_dir", target


def _check(file: BufferedReader, archive: Archive, source: str, setting: str, path: Path) -> None:
    """Raise UserError if the size or MD5 of the CIFAR archive is wrong.

    The file is never deleted, because it belongs to the user.
    """
    reader, expected_bytes = archive.reader, archive.num_bytes
    if setting == "ingest.download_dir":
        remedy = "delete it to have it downloaded, or put the official archive in its place"
    else:
        fits = suggest_source(path, source) if path.name != reader.filename else None
        remedy = fits or f"give the official archive, {reader.url}"
    num_bytes = file.seek(0, 2)
    if num_bytes != expected_bytes:
        truncated = num_bytes < expected_bytes and path.name == reader.filename
        truncated_or_wrong = "truncated" if truncated else f"not {reader.filename}"
        raise UserError(
            f"{setting}={path}: {truncated_or_wrong}, {num_bytes:,} of {expected_bytes:,} bytes are there; {remedy}"
        )
    file.seek(0)
    if (md5 := md5_of(file)) != reader.tgz_md5:
        raise UserError(
            f"{setting}={path}: not the official archive, its MD5 is {md5} instead of {reader.tgz_md5}; {remedy}"
        )
    file.seek(0)


def _extract(file: IO[bytes], reader: type[CIFAR10], folder: str) -> None:
    """Extract from the CIFAR archive only the files that torchvision's reader needs."""
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
