"""Which parquet files and columns hold the images: the layout that dataset hubs use for ``uoft-cs/cifar10``."""

import logging
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ...errors import UserError, one_line
from .suggestion import suggest_source

_log = logging.getLogger(__name__)

IMAGE_COLUMNS = ("img", "image")
LABEL_COLUMNS = ("label", "fine_label")


@dataclass(frozen=True)
class Table:
    """One parquet file.

    Attributes:
        name: relative to the source's folder.
        file: opened.
        num_rows: as the file's footer says.
        image_column, label_column: their names.
    """

    name: str
    file: pq.ParquetFile
    num_rows: int
    image_column: str
    label_column: str


def find_files(folder: Path, setting: str) -> dict[str, list[str]]:
    """Split -> sorted file names relative to ``folder``, POSIX separators; warns of files that are of neither split."""
    names: dict[str, list[str]] = {"train": [], "test": []}
    unread: list[str] = []
    for name in sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.parquet") if p.is_file()):
        parts = name.split("/")
        if any(part.startswith(".") for part in parts):  # a hub's download cache
            continue
        split = next((s for s in names if parts[-1].startswith(s) or parts[-2:-1] == [s]), None)
        (unread if split is None else names[split]).append(name)
    if unread:
        _log.warning("%s: only train*.parquet and test*.parquet are read, not %s", setting, ", ".join(unread))
    for split, found in names.items():
        if not found:
            remedy = suggest_source(folder, "parquet") or "give the folder that holds the parquet files"
            raise UserError(f"{setting}: no {split}*.parquet in this folder; {remedy}")
        folders = sorted({name.rpartition("/")[0] or "." for name in found})
        if len(folders) > 1:
            raise UserError(f"{setting}: {split}*.parquet in several folders ({', '.join(folders)}); give one of them")
        _check_shards(found, setting)
    return names


def _check_shards(names: Sequence[str], setting: str) -> None:
    """Raises UserError unless each ``...-00000-of-00003.parquet`` has its fellows, and fellows of one number only."""
    shards: defaultdict[tuple[str, int], set[int]] = defaultdict(set)
    for name in names:
        if match := re.match(r"(.+-)(\d+)-of-(\d{1,6})\b", name):
            shards[match[1], int(match[3])].add(int(match[2]))
    prefixes = [prefix for prefix, _ in shards]
    for (prefix, total), numbers in shards.items():
        if prefixes.count(prefix) > 1:
            raise UserError(
                f"{setting}: {prefix}* of {total} shards and of another number; remove those of one data set"
            )
        if missing := sorted(set(range(total)) - numbers):
            raise UserError(
                f"{setting}: {len(missing)} of {total} shards are missing, the first is {prefix}{missing[0]:05}; "
                "copy or download them"
            )


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
    return Table(name, file, file.metadata.num_rows, image, label)


def _holds_bytes(kind: pa.DataType) -> bool:
    return pa.types.is_struct(kind) and any(
        field.name == "bytes" and field.type in (pa.binary(), pa.large_binary()) for field in kind.fields
    )


def corrupt(setting: str, name: str, error: Exception | str) -> UserError:
    return UserError(f"{setting}: {name} is not a readable parquet file ({one_line(error)}); copy or download it again")
