"""Images in parquet files, in the layout that dataset hubs use for ``uoft-cs/cifar10``."""

import logging
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ....identity.digests import hash_file
from ...errors import UserError
from ...progress import progress_bar
from ..image_files import large_images_allowed
from ..image_set import ImageSet, allocate_pixels
from ..params import IngestParams
from ..resize import UnreadableImage, decode_square_rgb
from .class_names import CIFAR10_NAMES, codes_of, declared_names, inferred_names
from .decoding import list_unreadable, map_images
from .description import checksum_of, image_sets
from .parquet_files import Table, corrupt, find_files, open_table
from .suggestion import source_folder

_log = logging.getLogger(__name__)

# Encoded images of one batch are in memory at once: so many, or fewer where they are large.
BATCH_ROWS, BATCH_BYTES = 256, 256 * 2**20
SIGNATURES = {b"\xff\xd8\xff": "JPEG", b"\x89PNG": "PNG"}


def read(params: IngestParams) -> tuple[ImageSet, ImageSet]:
    """Training and test images in the order of file names and rows.

    The folder ``params.path`` holds ``train*.parquet`` and ``test*.parquet``, directly or in one sub-folder (``data``,
    ``plain_text``), or ``train/*.parquet`` and ``test/*.parquet``. Columns: ``img`` or ``image``, a struct with
    ``bytes`` (an encoded image); ``label`` or ``fine_label``, an integer.

    Raises:
        UserError: no such files or columns; a file, image or label that is broken.
    """
    folder, setting = source_folder(params, "give the folder that holds train*.parquet and test*.parquet")
    names = find_files(folder, setting)
    tables = {split: [open_table(folder, name, setting) for name in names[split]] for split in names}
    declared = {
        table.name: declared_names(table.file.schema_arrow.metadata, table.label_column, folder, setting)
        for table in (*tables["train"], *tables["test"])
    }
    common, codes = codes_of(declared, setting)
    broken: dict[str, UnreadableImage] = {}
    arrays = {s: _read_tables(tables[s], s, params.image_size, codes, setting, broken) for s in tables}
    if broken:
        raise UserError(f"{setting}: {list_unreadable(broken)}; remove or replace what is named")
    class_names = common or inferred_names(arrays["train"][1], arrays["test"][1], setting)
    digests = {name: hash_file(str(folder / name)) for name in declared}
    formats = " and ".join(sorted(arrays["train"][2] | arrays["test"][2]))
    recognised = ", labels of CIFAR-10" if not common and class_names == CIFAR10_NAMES else ""
    title = f"{folder.resolve().name}: parquet files, {formats} images{recognised}"
    contents = {split: (pixels, labels, None) for split, (pixels, labels, _) in arrays.items()}
    return image_sets(params, title, checksum_of(digests), class_names, contents)


def _read_tables(
    tables: Sequence[Table],
    split: str,
    size: int,
    codes: dict[str, Sequence[int]],
    setting: str,
    broken: dict[str, UnreadableImage],
) -> tuple[NDArray[np.uint8], NDArray[np.int64], set[str]]:
    """(pixels uint8 (N, size, size, 3), labels (N,), image formats) of one split; images that cannot be read are noted
    in ``broken``.
    """
    num_images = sum(table.num_rows for table in tables)
    if num_images == 0:
        raise UserError(f"{setting}: the {split}*.parquet files have no rows; give files with images")
    pixels = allocate_pixels(num_images, size, size)
    labels = np.empty(num_images, np.int64)
    formats: set[str] = set()
    start = 0
    _log.info("reading %s %s images", f"{num_images:,}", split)
    with large_images_allowed(), progress_bar(f"reading {split} images", num_images) as bar:
        for table in tables:
            row = 0
            for batch_labels, encoded in _batches(table, setting):
                chosen = slice(start, start + len(encoded))
                places = [f"{table.name}, row {row + i} (from 0)" for i in range(len(encoded))]
                labels[chosen] = _labels_of(batch_labels, codes[table.name], places, setting)
                formats.update(_format_of(data) for data in encoded if data)
                broken |= {places[i]: reason for i, reason in _decode_rows(encoded, pixels[chosen]).items()}
                bar.advance(len(encoded))
                start, row = chosen.stop, row + len(encoded)
    return pixels, labels, formats


def _batches(table: Table, setting: str) -> Iterator[tuple[list[int | None], list[bytes | None]]]:
    """Labels and encoded images of rows in a row: ``BATCH_ROWS``, or as many as pass ``BATCH_BYTES`` before.

    Rows are decompressed one by one (0.06 ms each): how much a batch of them would take can be known only afterwards,
    and a few kilobytes may stand for gigabytes.
    """
    labels: list[int | None] = []
    encoded: list[bytes | None] = []
    num_rows, num_bytes = 0, 0
    try:
        for row in table.file.iter_batches(1, columns=[f"{table.image_column}.bytes", table.label_column]):
            labels.append(row.column(table.label_column)[0].as_py())
            encoded.append((row.column(table.image_column)[0].as_py() or {}).get("bytes"))
            num_rows, num_bytes = num_rows + 1, num_bytes + len(encoded[-1] or b"")
            if num_rows == table.num_rows or len(encoded) == BATCH_ROWS or num_bytes > BATCH_BYTES:
                yield labels, encoded
                labels, encoded, num_bytes = [], [], 0
    except (pa.ArrowException, OSError) as error:
        raise corrupt(setting, table.name, error) from error
    if num_rows != table.num_rows:
        raise corrupt(setting, table.name, f"{num_rows:,} rows of {table.num_rows:,}")


def _format_of(data: bytes) -> str:
    return next((name for signature, name in SIGNATURES.items() if data.startswith(signature)), "other")


def _labels_of(labels: Sequence[int | None], codes: Sequence[int], places: Sequence[str], setting: str) -> list[int]:
    """Labels in the names of all files."""
    for label, place in zip(labels, places, strict=True):
        if label is None or not 0 <= label < len(codes):
            wrong = "null" if label is None else f"{label}, labels are 0 to {len(codes) - 1}"
            raise UserError(
                f"{setting}: {place}: its label is {wrong}; remove the row or give it a class (hubs write -1 where "
                "labels are withheld)"
            )
    return [codes[label] for label in labels if label is not None]


def _decode_rows(encoded: Sequence[bytes | None], pixels: NDArray[np.uint8]) -> dict[int, UnreadableImage]:
    """Fill ``pixels``; gives the rows that cannot be read, and why."""

    def decode(row: int) -> None:
        if not (data := encoded[row]):
            raise UnreadableImage("without image bytes")
        pixels[row] = decode_square_rgb(data, pixels.shape[1])

    results = map_images(decode, range(len(encoded)), sum(len(data or b"") for data in encoded))
    return {row: reason for row, reason in enumerate(results) if reason}
