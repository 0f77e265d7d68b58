"""Find the parquet files of each split, and their columns of images and labels, as Hugging Face data sets have them."""

import logging
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ...errors import UserError, one_line
from ..params import ColumnsParams
from .suggestion import suggest_source

_log = logging.getLogger(__name__)

IMAGE_COLUMNS = ("img", "image")
LABEL_COLUMNS = ("label", "fine_label", "labels")

# Split -> regular expression that recognises the split's parquet files, by the beginning of a file's name or by the
# whole name of its folder.
SPLITS = {"train": "train", "val": r"val(id(ation)?)?(?![a-z])", "test": "test"}


@dataclass(frozen=True)
class Table:
    """An open parquet file of one split, with the names of its image, label and group columns.

    Attributes:
        name: path relative to the source's folder.
        split: train, val or test.
        file: the open file.
        columns: role -> column name, with the roles ``file`` (the encoded image; for a struct, its field ``bytes``),
            ``label`` and, if named by the user, ``group``.
        has_texts: whether labels are class names; otherwise they are integers.
    """

    name: str
    split: str
    file: pq.ParquetFile
    columns: dict[str, str]
    has_texts: bool


def find_files(folder: Path, setting: str) -> list[tuple[str, str]]:
    """Return (split, path) of each parquet file in ``folder``; log a warning about files that belong to no split.

    Paths are relative to ``folder``, with "/". Validation files may be missing; if there are some,
    test files may be missing too.

    Raises:
        UserError: training or test files are missing, are in several folders, lack some of their shards, or are
            of two data sets.
    """
    names: dict[str, list[str]] = {split: [] for split in SPLITS}
    unread: list[str] = []
    for name in sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.parquet") if p.is_file()):
        parts = name.split("/")
        if any(part.startswith(".") for part in parts):  # a download cache
            continue
        split = next((s for s, word in SPLITS.items() if re.search(rf"(^|/){word}/?[^/]*$", name)), None)
        (unread if split is None else names[split]).append(name)
    if unread:
        _log.warning("%s: only train*, validation* and test*.parquet are read, not %s", setting, ", ".join(unread))
    for split, found in names.items():
        if not found and (split == "train" or (split == "test" and not names["val"])):
            remedy = suggest_source(folder, "parquet") or "give the folder that holds the parquet files"
            raise UserError(f"{setting}: no {split}*.parquet in this folder; {remedy}")
        folders = sorted({name.rpartition("/")[0] or "." for name in found})
        if len(folders) > 1:
            raise UserError(f"{setting}: {split}*.parquet in several folders ({', '.join(folders)}); give one of them")
        _check_shards(found, setting)
        if len(found) > 1:
            _log.info("%s: reading %d parquet files of split %s", setting, len(found), split)
    return [(split, name) for split, found in names.items() for name in found]


def _check_shards(names: Sequence[str], setting: str) -> None:
    """Raise UserError if shards such as ``...-00000-of-00003.parquet`` are missing or duplicate, or totals differ."""
    shards: defaultdict[tuple[str, int], dict[int, str]] = defaultdict(dict)
    whole: list[str] = []
    for name in names:
        if not (match := re.match(r"(.+-)(\d+)-of-(\d{1,6})\b", name)):
            whole.append(name)
        elif (first := shards[match[1], int(match[3])].setdefault(int(match[2]), name)) != name:
            raise UserError(f"{setting}: {first} and {name} are the same shard; remove one of these files")
    prefixes = [prefix for prefix, _ in shards]
    if whole and prefixes:
        raise UserError(
            f"{setting}: {whole[0]} lies beside the shards {prefixes[0]}*, so these files are of two data sets; remove "
            "the files of one data set"
        )
    for (prefix, total), numbers in shards.items():
        if prefixes.count(prefix) > 1:
            raise UserError(
                f"{setting}: the files {prefix}* are of two data sets, one of {total} shards and one of another "
                "number of shards; remove the files of one data set"
            )
        if missing := sorted(set(range(total)) - numbers.keys()):
            raise UserError(
                f"{setting}: {len(missing)} of {total} shards are missing, the first is {prefix}{missing[0]:05}; "
                "copy or download the missing parquet files"
            )


def open_table(folder: Path, name: str, split: str, columns: ColumnsParams, setting: str) -> Table:
    """Open a parquet file; find its image, label and group columns by ``columns``, or else by the usual names."""
    try:
        file = pq.ParquetFile(folder / name, buffer_size=1 << 20, page_checksum_verification=True)
    except (pa.ArrowException, OSError) as error:
        raise corrupt(setting, name, error) from error
    kinds = {field.name: field.type for field in file.schema_arrow}
    roles = {"file": (IMAGE_COLUMNS, _holds_bytes), "label": (LABEL_COLUMNS, _is_label), "group": ((), _is_label)}
    found: dict[str, str] = {}
    for role, (usual, fits) in roles.items():
        names = [given] if (given := getattr(columns, role)) else usual
        if fitting := [column for column in names if column in kinds and fits(kinds[column])]:
            found[role] = fitting[0]
        elif names:
            allowed_types = "bytes, or of structs with a field bytes" if role == "file" else "integers or texts"
            existing_columns = ", ".join(f"{column} ({kind})" for column, kind in kinds.items())
            raise UserError(
                f"{setting}: {name} has no column {' or '.join(names)} of {allowed_types}, only {existing_columns}; "
                f"set ingest.columns.{role} to one of these columns"
            )
    found["file"] += ".bytes" if pa.types.is_struct(kinds[found["file"]]) else ""
    return Table(name, split, file, found, _is_text(kinds[found["label"]]))


def _holds_bytes(kind: pa.DataType) -> bool:
    inner = [field.type for field in kind.fields if field.name == "bytes"] if pa.types.is_struct(kind) else [kind]
    return any(held in (pa.binary(), pa.large_binary()) for held in inner)


def _is_text(kind: pa.DataType) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return kind in (pa.string(), pa.large_string(), pa.string_view())


def _is_label(kind: pa.DataType) -> bool:
    return _is_text(kind) or pa.types.is_integer(kind.value_type if pa.types.is_dictionary(kind) else kind)


def corrupt(setting: str, name: str, error: Exception | str) -> UserError:
    return UserError(f"{setting}: {name} is not a readable parquet file ({one_line(error)}); copy or download it again")
