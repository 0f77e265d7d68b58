"""Which parquet files and columns hold the images: the layout that dataset hubs use for ``uoft-cs/cifar10``."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ....identity.digests import sha256_of
from ...errors import UserError

IMAGE_COLUMNS = ("img", "image")
LABEL_COLUMNS = ("label", "fine_label")


@dataclass(frozen=True)
class Table:
    """One parquet file: ``name`` relative to the source's folder, and the columns that hold images and labels."""

    name: str
    file: pq.ParquetFile
    image_column: str
    label_column: str


def find_files(folder: Path, setting: str) -> dict[str, list[str]]:
    """Split -> sorted file names relative to ``folder``, POSIX separators."""
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "no such folder"
        raise UserError(f"{setting}: {what}; give the folder that holds train*.parquet and test*.parquet")
    names: dict[str, list[str]] = {"train": [], "test": []}
    for name in sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.parquet") if p.is_file()):
        parts = name.split("/")
        if any(part.startswith(".") for part in parts):  # a hub's download cache
            continue
        for split, found in names.items():
            if parts[-1].startswith(split) or parts[-2:-1] == [split]:
                found.append(name)
                break
    for split, found in names.items():
        if not found:
            raise UserError(
                f"{setting}: no {split}*.parquet in this folder; give the folder that holds the parquet files"
            )
        folders = sorted({name.rpartition("/")[0] or "." for name in found})
        if len(folders) > 1:
            raise UserError(f"{setting}: {split}*.parquet in several folders ({', '.join(folders)}); give one of them")
    return names


def open_table(folder: Path, name: str, setting: str) -> Table:
    try:
        file = pq.ParquetFile(folder / name, buffer_size=1 << 20, page_checksum_verification=True)
    except (pa.ArrowException, OSError) as error:
        raise corrupt(setting, name, error) from error
    schema = file.schema_arrow
    image = next((c for c in IMAGE_COLUMNS if c in schema.names and _holds_bytes(schema.field(c).type)), None)
    label = next((c for c in LABEL_COLUMNS if c in schema.names and pa.types.is_integer(schema.field(c).type)), None)
    if image is None or label is None:
        columns = ", ".join(f"{field.name} ({field.type})" for field in schema)
        raise UserError(
            f"{setting}: {name} needs a struct column img or image with a field bytes, and an integer column label or "
            f"fine_label; it has {columns}"
        )
    return Table(name, file, image, label)


def _holds_bytes(kind: pa.DataType) -> bool:
    if not pa.types.is_struct(kind) or kind.get_field_index("bytes") < 0:
        return False
    return bool(pa.types.is_binary(kind.field("bytes").type) or pa.types.is_large_binary(kind.field("bytes").type))


def corrupt(setting: str, name: str, error: Exception) -> UserError:
    reason = " ".join(str(error).split())
    return UserError(f"{setting}: {name} is not a readable parquet file ({reason}); copy or download it again")


def checksum_of(folder: Path, names: Sequence[str]) -> str:
    """SHA-256 over names and contents, in this order."""
    digests = []
    for name in names:
        with (folder / name).open("rb") as file:
            digests.append(f"{name}\0{hashlib.file_digest(file, 'sha256').hexdigest()}\n")
    return f"sha256:{sha256_of(''.join(digests).encode())}"
