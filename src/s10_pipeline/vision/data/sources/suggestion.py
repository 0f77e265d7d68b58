"""Suggest another value of ``ingest.source`` if the files at ``ingest.path`` fit another source than the given one."""

import shutil
from pathlib import Path

from ...errors import UserError
from ..image_files import image_extensions, listing, walk_images
from ..params import IngestParams

ARCHIVES = {"cifar-10-python.tar.gz": "cifar10", "cifar-100-python.tar.gz": "cifar100"}
# Remedy in error messages if ``ingest.path`` is a packed archive.
UNPACK = "unpack it and give the folder, with ingest.source=folder for class folders of images"
# File name extensions by which packed archives are recognised.
PACKED = (".rar", ".7z", *(extension for _, extensions, _ in shutil.get_unpack_formats() for extension in extensions))


def suggest_source(path: Path, source: str) -> str | None:
    """Return a remedy such as ``give ingest.source=csv`` if the files at ``path`` fit another source, else None."""
    files, kinds = [path] if path.exists() else [], {".parquet": "parquet", ".csv": "csv", ".tsv": "csv"}
    if path.is_dir():
        found = walk_images(path, f"ingest.path={path}", skip_unlistable=True)
        files = [*found.images, *found.others]
        kinds = {**dict.fromkeys(image_extensions(), "folder"), ".parquet": "parquet"}
    for file in files:
        fitting = ARCHIVES.get(file.name) or kinds.get(file.suffix.lower(), source)
        if fitting != source:
            return f"give {'its folder with ' if file == path and fitting == 'parquet' else ''}ingest.source={fitting}"
    return UNPACK if path.name.lower().endswith(PACKED) and path.is_file() else None


def source_folder(params: IngestParams, remedy: str) -> tuple[Path, str]:
    """Return the folder at ``params.path``, and the text ``ingest.path=...`` that begins messages about it.

    Raises:
        UserError: the path is not a folder; the message ends with ``remedy``, or with a better fitting source.
    """
    assert params.path is not None
    folder, setting = Path(params.path).expanduser(), f"ingest.path={params.path}"
    with listing(setting):
        if not folder.exists():
            raise UserError(f"{setting}: no such folder; {remedy}")
        if not folder.is_dir():
            remedy = suggest_source(folder, params.source) or remedy
            raise UserError(f"{setting}: must be a folder, but is a file; {remedy}")
    return folder, setting
