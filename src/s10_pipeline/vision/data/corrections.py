"""Relabel and drop training and validation images as a person chose in the report (``ingest.corrections``).

An image is identified by its pixels, because dropping an image changes the indices of later ones. A correction applies
to all images with the same pixels. Test images cannot be corrected: relabelling those that the model gets wrong would
inflate the accuracy.
"""

import csv
import dataclasses
import io
import logging
from collections import defaultdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...identity.digests import sha256_of
from ...identity.regular_files import regular_file
from ..errors import UserError, did_you_mean, one_line, printable
from .image_set import ImageSet

_log = logging.getLogger(__name__)

COLUMNS = ("split", "index", "path", "pixels_sha256", "action", "label")
# Action in a row of corrections.csv -> name of the action in provenance and report.
ACTIONS = {"keep": "kept", "relabel": "relabelled", "drop": "dropped"}
_MAX_BYTES = 2**28

# Row of corrections.csv: column name (of COLUMNS) -> text of the cell.
Row = dict[str, str]


def pixels_sha256(image_hwc: NDArray[np.uint8]) -> str:
    """Return the SHA-256 of an image's pixels (uint8, H x W x 3, as stored), which identifies it in corrections."""
    return sha256_of(np.ascontiguousarray(image_hwc))


def apply_corrections(train: ImageSet, test: ImageSet, path: str) -> ImageSet:
    """Relabel and drop training images as the file ``corrections.csv`` from a report says.

    Returns:
        The corrected training images. Their ``source["corrections"]`` has the numbers of images ``kept``,
        ``relabelled`` and ``dropped``, and ``rows``, the rows of the file.

    Raises:
        UserError: the file cannot be read, has a wrong format or belongs to another source; a row names an unknown
            image, class or action, contradicts an earlier row, or corrects a test image; no training or no
            validation image would be left.
    """
    file = printable(path)
    first_line, rows = _read(path)
    if (checksum := str(train.source.get("checksum"))) not in first_line:
        raise UserError(
            f"ingest.corrections={file}: line 1 of the file ({printable(first_line[:100])}) does not name the checksum "
            f"of these images, {checksum}; use the file from the report of a model that was trained on these images"
        )
    places = defaultdict(list)
    for place, image_hwc in enumerate(train.images_nhwc):
        places[pixels_sha256(image_hwc)].append(place)
    chosen: dict[str, Row] = {}
    for number, row in enumerate(rows, start=3):
        mistake = _mistake(row, train.class_names, places, test)
        earlier = chosen.setdefault(row["pixels_sha256"], row)
        words, before = (f"{one['action']} {one['label']}".rstrip() for one in (row, earlier))
        if mistake or words != before:
            mistake = mistake or f"{words}, but a line above has {before} for the same image; remove one of them"
            raise UserError(f"ingest.corrections={file}: line {number}: {mistake}")
    labels, counts, dropped = train.labels.copy(), dict.fromkeys(ACTIONS.values(), 0), []
    for digest, row in chosen.items():
        copies = places[digest]
        counts[ACTIONS[row["action"]]] += len(copies)
        if row["action"] == "relabel":
            labels[copies] = train.class_names.index(row["label"])
        elif row["action"] == "drop":
            dropped += copies
    left = np.setdiff1d(np.arange(len(train)), dropped)
    validation = np.zeros(len(train), bool) if train.validation is None else train.validation
    for split, part in (("training", ~validation), ("validation", validation)):
        if part.any() and not part[left].any():
            raise UserError(f"ingest.corrections={file}: drops every {split} image; keep some images of each class")
    _log.info(
        "ingest.corrections=%s: of %d training images, %d were checked and kept, %d relabelled and %d dropped",
        file, len(train), *counts.values(),
    )  # fmt: skip
    faults = train.source.get("faults", {})
    faults = {name: np.flatnonzero(np.isin(left, indices)).tolist() for name, indices in faults.items()}
    noted = {"corrections": {**counts, "rows": [list(row.values()) for row in chosen.values()]}}
    source = {**train.source, **noted, **({"faults": faults} if faults else {})}
    return dataclasses.replace(train, labels=labels, source=source).select(left)


def _read(path: str) -> tuple[str, list[Row]]:
    """Return the first line of a corrections.csv file, and the rows of the table below it."""
    try:
        text = regular_file(Path(path).expanduser(), _MAX_BYTES).read_text("utf-8-sig")
        first_line, _, table = text.partition("\n")
        reader = csv.DictReader(io.StringIO(table), strict=True)
        columns = tuple(reader.fieldnames or ())
        reason = (
            "" if columns == COLUMNS else f"has the columns {','.join(columns)[:100]} instead of {','.join(COLUMNS)}"
        )
        rows = [] if reason else [{name: row[name] or "" for name in COLUMNS} for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = one_line(error)
    if reason:
        reason = printable(reason)
        raise UserError(f"ingest.corrections={printable(path)}: {reason}; give the corrections.csv saved from a report")
    return first_line, rows


def _mistake(row: Row, class_names: tuple[str, ...], places: dict[str, list[int]], test: ImageSet) -> str | None:
    """Return the mistake in a row of corrections.csv and its remedy as text; None if the row is right."""
    digest, action, label = row["pixels_sha256"], row["action"], row["label"]
    known = digest in places
    if row["split"] == "test" or (not known and any(digest == pixels_sha256(image) for image in test.images_nhwc)):
        return (
            "corrects a test image, but relabelling those that the model gets wrong inflates the accuracy; remove the "
            "line"
        )
    if not known:
        return (
            f"pixels_sha256={printable(digest[:12])}: no training image has these pixels; remove the line, or give "
            "the ingest parameters (image_size, plant) of the model whose report this file is from"
        )
    if action not in ACTIONS:
        return f"action={printable(action)}: no such action; {did_you_mean(action, ACTIONS)}"
    if action == "relabel" and label not in class_names:
        return f"label={printable(label)}: no such class; {did_you_mean(label, class_names)}"
    return None
