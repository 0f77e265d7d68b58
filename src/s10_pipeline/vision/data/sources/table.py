"""Read the user's own images, listed in a table (CSV, TSV or parquet)."""

import io
import logging
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ....identity.digests import hash_file
from ....identity.regular_files import regular_file
from ...errors import UserError, one_line, printable
from ..image_set import ImageSet
from ..params import IngestParams
from .assembly import assemble, read_files
from .class_names import names_in
from .decoding import list_some

_log = logging.getLogger(__name__)

USUAL_COLUMNS = {
    "file": ("file", "filename", "file_name", "filepath", "file_path", "path", "image", "image_path", "img"),
    "label": ("label", "labels", "class", "class_name", "category", "target"),
    "split": ("split", "subset", "set", "partition"),
    "group": ("group", "group_id", "patient", "patient_id", "subject", "subject_id"),
}
SPLITS = {"training": "train", "valid": "val", "validation": "val", "dev": "val", "testing": "test"}


def read(params: IngestParams) -> tuple[ImageSet, ImageSet]:
    """Read training and test images from the files listed in the table ``params.path``, in the order of its rows.

    Paths are relative to ``params.image_root``, or else to the table's folder. Classes are the distinct texts in the
    label column. Without a split column, all rows are training rows. Repeated rows count once.

    Raises:
        UserError: the table or a column is missing; rows are wrong (all kinds of mistakes are reported at once); an
            image cannot be read.
    """
    table, root, setting = list_rows(str(params.path), params.image_root, params.columns.model_dump())
    _log.info("%s: %s", setting, ", ".join(f"{role} is column {name}" for role, name in table.attrs.items()))
    _check_rows(table, root, setting)
    rows = table.drop_duplicates("place")
    if len(rows) < len(table):
        _log.warning("%s: ignored %d rows that repeat earlier ones in the table", setting, len(table) - len(rows))
    class_names, labels = names_in(rows["label"], setting)
    rows, path = rows.assign(label=labels), Path(str(params.path)).expanduser()
    read, title = read_files(root, rows, params.image_size), f"{path.name}: a table of images"
    return assemble(params, rows, class_names, read, lambda: title, {path.name: hash_file(str(path))})


def list_rows(table: str, image_root: str | None, given: Mapping[str, str | None]) -> tuple[pd.DataFrame, Path, str]:
    """Read the user's table of images, and find its columns of paths, labels, splits and groups.

    Returns:
        rows: columns ``place`` (path), ``label``, ``split`` and, if the table has one, ``group``, all as texts. The
            index names the row of the table; ``attrs`` maps roles (``file``, ``label``, ...) to column names.
        root: the folder that paths are relative to.
        setting: the text ``ingest.path=...`` that begins messages.

    Raises:
        UserError: the table, ``image_root`` or a column is missing, or the table cannot be read.
    """
    setting, path = f"ingest.path={printable(table)}", Path(table).expanduser()
    root = Path(image_root).expanduser() if image_root else path.parent
    if image_root and not root.is_dir():
        raise UserError(f"ingest.image_root={image_root}: no such folder; give the one that paths are relative to")
    cells = _read_table(path, setting)
    # the exact name has priority, then the first column whose name differs only in upper and lower case
    exact = [name for name in cells.columns if name in given.values()]
    by_name = {name.casefold(): name for name in [*reversed(cells.columns), *exact]}
    columns: dict[str, str] = {}
    for role, usual in USUAL_COLUMNS.items():
        asked = given.get(role)
        if fitting := [name.casefold() for name in ([asked] if asked else usual) if name.casefold() in by_name]:
            columns[role] = by_name[fitting[0]]
        elif asked or role in ("file", "label"):
            names = printable(", ".join(cells.columns))
            raise UserError(
                f"ingest.columns.{role}={asked or 'null'}: no {role} column, the table has {names}; name one of these"
            )
    rows = pd.DataFrame({role: cells[name] for role, name in columns.items()})
    rows["place"] = [_relative(root, file) if file else "" for file in rows.pop("file")]
    rows["split"] = [SPLITS.get(text, text) for text in rows["split"].str.lower()] if "split" in rows else "train"
    rows.attrs.update(columns)
    return rows, root, setting


def _read_table(path: Path, setting: str) -> pd.DataFrame:
    """Return the cells of a table of images as stripped texts, "" for missing cells.

    The index names each row for messages, from ``row 2`` (after the header, as in a spreadsheet) in a CSV or TSV file
    and from ``row 0`` in a parquet file.
    """
    try:
        data = regular_file(path, max_bytes=2**30).read_bytes()
        if is_parquet := data.startswith(b"PAR1"):
            file = pq.ParquetFile(io.BytesIO(data))
            flat = [f.name for f in file.schema_arrow if not (pa.types.is_nested(f.type) or pa.types.is_binary(f.type))]
            table = pd.DataFrame({name: file.read([name])[name].cast(pa.string()).to_pandas() for name in flat})
        else:
            text = data.decode("utf-8-sig")
            separator = max(",;\t|", key=text.lstrip().partition("\n")[0].count)
            options: dict[str, Any] = {
                "sep": separator, "dtype": str, "keep_default_na": False, "skip_blank_lines": False, "index_col": False
            }  # fmt: skip
            with warnings.catch_warnings():
                warnings.simplefilter("error", pd.errors.ParserWarning)
                try:
                    table = pd.read_csv(io.StringIO(text), **options)
                except pd.errors.ParserWarning:
                    # Rows may end with a separator, so read the table again with pandas' Python engine, which accepts
                    # an additional last cell if this cell is empty in all rows.
                    table = pd.read_csv(io.StringIO(text), engine="python", **options)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise UserError(f"{setting}: line {line} is not UTF-8; save the table as UTF-8 (CSV UTF-8)") from error
    except pd.errors.ParserWarning as error:
        remedy = f"put quotes around texts that contain {separator!r}"
        raise UserError(f"{setting}: rows have more cells than the header; {remedy}") from error
    except (OSError, ValueError, pa.ArrowException) as error:
        raise UserError(f"{setting}: {one_line(error)}; give a table of images as CSV, TSV or parquet") from error
    table = pd.DataFrame({str(name).strip(): table[name].fillna("").str.strip() for name in table.columns})
    table.index = pd.Index([f"row {i if is_parquet else i + 2}" for i in range(len(table))])
    return table.loc[(table != "").any(axis=1)]


def _relative(root: Path, file: str) -> str:
    """Make a file's path relative to ``root``, with "/" on every system; absolute paths outside it stay absolute."""
    file = file.replace("\\", "/")  # Windows separators
    path = os.path.normpath(os.path.relpath(root / file, root))
    return Path(file if path.startswith("..") and os.path.isabs(file) else path).as_posix()


def _check_rows(rows: pd.DataFrame, root: Path, setting: str) -> None:
    """Raise UserError if rows of a table of images are wrong; the error names up to five rows per kind of mistake.

    All wrong rows are logged.
    """
    trained = rows["label"].isin(rows["label"][rows["split"] == "train"])
    different = rows.drop_duplicates()
    kinds = {
        "no such file": rows[[not os.path.isfile(root / place) for place in rows["place"]]],
        "no label": rows[rows["label"] == ""],
        "no training image of this class": rows[~trained & (rows["label"] != "")],
        "split is none of train, val, test": rows[~rows["split"].isin(("train", "val", "test"))],
        "no group": rows[rows["group"] == ""] if "group" in rows else rows[:0],
        "one file with several labels, splits or groups": different[different["place"].duplicated(keep=False)],
    }
    mistakes = []
    for kind, found in kinds.items():
        if len(found):
            wrong = [f"{line} ({printable(', '.join(texts))[:200]})" for line, *texts in found.itertuples()]
            _log.error("%s:\n  %s", kind, "\n  ".join(wrong))
            mistakes.append(f"{kind}: {list_some(wrong)}")
    if mistakes:
        raise UserError(f"{setting}: wrong rows in the table: {'; '.join(mistakes)}; correct these rows")
