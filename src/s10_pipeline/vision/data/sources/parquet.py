"""Read images from parquet files, in the layout that dataset hubs use for ``uoft-cs/cifar10``."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from ....identity.digests import hash_file
from ...errors import UserError
from ..image_set import ImageSet
from ..params import IngestParams
from ..resize import UnreadableImage, decode_square_rgb
from .assembly import Pixels, assemble
from .class_names import CIFAR10_NAMES, codes_of, declared_names, inferred_names, names_in
from .decoding import map_images
from .parquet_files import Table, corrupt, find_files, open_table
from .suggestion import source_folder

# Largest number of encoded images in a batch.
BATCH_ROWS = 256
# Size in bytes above which a batch of encoded images ends before it has BATCH_ROWS images.
BATCH_BYTES = 256 * 2**20
SIGNATURES = {b"\xff\xd8\xff": "JPEG", b"\x89PNG": "PNG"}


def read(params: IngestParams) -> tuple[ImageSet, ImageSet]:
    """Read training and test images from parquet files in the order of file names and rows.

    The folder ``params.path`` holds ``train*.parquet`` and ``test*.parquet``, ``validation*.parquet`` or both, directly
    or in one sub-folder (``data``, ``plain_text``), or ``train/*.parquet`` and so on. The image column (``img`` or
    ``image``) holds encoded images as bytes or as structs with ``bytes``; the label column (``label``, ``fine_label``
    or ``labels``) holds integers or class names. ``params.columns`` may name other columns.

    Raises:
        UserError: there are no such files or columns; a file, image or label is broken.
    """
    folder, setting = source_folder(params, "give the folder that holds train*.parquet and test*.parquet")
    files = find_files(folder, setting)
    tables = [open_table(folder, name, split, params.columns, setting) for split, name in files]
    if len({table.has_texts for table in tables}) > 1:
        raise UserError(
            f"{setting}: labels are texts in some parquet files and integers in others; use one kind in all files"
        )
    common: tuple[str, ...] | None = None
    codes: dict[str, Sequence[int]] = {}
    if not tables[0].has_texts:
        common, codes = codes_of({table.name: declared_names(table, folder, setting) for table in tables}, setting)
    rows = pd.concat([_list_rows(table, codes.get(table.name), setting) for table in tables], ignore_index=True)
    if empty := sorted({table.split for table in tables} - set(rows["split"])):
        raise UserError(f"{setting}: the {empty[0]}*.parquet files have no rows; give files with images")
    if tables[0].has_texts:
        class_names, rows["label"] = names_in(rows["label"], setting)
    else:
        class_names = common or inferred_names(rows["label"].to_numpy(np.int64), setting)
    recognised = ", labels of CIFAR-10" if not common and class_names == CIFAR10_NAMES else ""
    formats: set[str] = set()

    def read_images(pixels_of: Callable[[int], Pixels]) -> Iterator[UnreadableImage | None]:
        start = 0
        for table in tables:
            for encoded in _batches(table, setting):
                formats.update(_format_of(data) for data in encoded if data)
                targets = [pixels_of(start + row) for row in range(len(encoded))]
                yield from _decode_rows(encoded, targets, params.image_size)
                start += len(encoded)

    def title() -> str:
        return f"{folder.resolve().name}: parquet files, {' and '.join(sorted(formats))} images{recognised}"

    digests = {name: hash_file(str(folder / name)) for _, name in files}
    return assemble(params, rows, class_names, read_images, title, digests)


def _list_rows(table: Table, codes: Sequence[int] | None, setting: str) -> pd.DataFrame:
    """Return a table of the images in a parquet file, without pixels: one row per image with its split and label.

    The columns are ``place`` (file and row, for messages), ``split``, ``label`` and, if the user named one, ``group``.
    Texts are stripped.

    Args:
        codes: translation of the file's labels (:func:`.class_names.codes_of`); None if labels are texts.
    """
    columns = {role: column for role, column in table.columns.items() if role != "file"}
    try:
        read = table.file.read(list(columns.values()))
    except (pa.ArrowException, OSError) as error:
        raise corrupt(setting, table.name, error) from error
    if read.num_rows != (claimed := table.file.metadata.num_rows):
        raise corrupt(setting, table.name, f"{read.num_rows:,} rows of {claimed:,}")
    values: dict[str, list[Any]] = {
        role: [value.strip() if isinstance(value, str) else value for value in read[column].to_pylist()]
        for role, column in columns.items()
    }
    places = [f"{table.name}, row {row} (from 0)" for row in range(read.num_rows)]
    for role, found in values.items():
        for parquet_row, value in zip(places, found, strict=True):
            if value in (None, "") or (role == "label" and codes is not None and not 0 <= value < len(codes)):
                wrong_value = {None: "null", "": "empty"}.get(value, f"{value}, labels are 0 to {len(codes or ()) - 1}")
                raise UserError(f"{setting}: {parquet_row}: its {role} is {wrong_value}; remove or correct this row")
    if codes is not None:
        values["label"] = [codes[label] for label in values["label"]]
    return pd.DataFrame({"place": places, "split": table.split, **values})


def _batches(table: Table, setting: str) -> Iterator[list[bytes | None]]:
    """Yield the encoded images of a parquet file in the order of its rows, in batches of at most ``BATCH_ROWS`` images.

    A batch ends early once it exceeds ``BATCH_BYTES``. Rows are decompressed one by one (0.06 ms each),
    because their size is known only after decompression: a few kilobytes may expand to gigabytes.
    """
    encoded: list[bytes | None] = []
    num_bytes = 0
    try:
        for row in table.file.iter_batches(1, columns=[table.columns["file"]]):
            image = row.column(0)[0].as_py()
            encoded.append(image.get("bytes") if isinstance(image, dict) else image)
            num_bytes += len(encoded[-1] or b"")
            if len(encoded) == BATCH_ROWS or num_bytes > BATCH_BYTES:
                yield encoded
                encoded, num_bytes = [], 0
    except (pa.ArrowException, OSError) as error:
        raise corrupt(setting, table.name, error) from error
    if encoded:
        yield encoded


def _format_of(data: bytes) -> str:
    return next((name for signature, name in SIGNATURES.items() if data.startswith(signature)), "other")


def _decode_rows(
    encoded: Sequence[bytes | None], targets: Sequence[Pixels], size: int
) -> Iterator[UnreadableImage | None]:
    """Decode each encoded image into its array in ``targets``; yield per image None, or why it cannot be read."""

    def decode(row: int) -> None:
        if not (data := encoded[row]):
            raise UnreadableImage("without image bytes")
        targets[row][...] = decode_square_rgb(data, size)

    return map_images(decode, range(len(encoded)), sum(len(data or b"") for data in encoded))
