"""Names of the classes of a parquet source: declared beside the data, recognised, or none."""

import json
import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ....identity.digests import sha256_of
from ....identity.regular_files import regular_file
from ...errors import UserError
from .parquet_files import Table

_log = logging.getLogger(__name__)

MAX_NAME_BYTES = 2**24
ANY_LABEL = range(2**63 - 1)  # where no names bound the labels, int64 does
NAME_FILES = ("class_names.txt", "labels.txt")
CIFAR10_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
# SHA-256 of the 50,000 training labels and then the 10,000 test labels (little-endian int64), in the order of the
# official archive. Who has all of them in this order has CIFAR-10, whatever was done to the pixels.
CIFAR10_LABELS_SHA256 = "5083e6dd0895f94970ae8513f046bf3004b333931aad82b619d23ab76f2e1845"


def declared_names(table: Table, folder: Path, setting: str) -> tuple[str, ...] | None:
    """Names in label order: from the ``huggingface`` entry of the parquet schema, else from a text file.

    Args:
        table: whose label column's names are wanted.
        folder: where ``class_names.txt`` or ``labels.txt`` (one name a line) may lie.
        setting: ``ingest.path=...``, for errors.

    Raises:
        UserError: names that are not two or more, or not distinct.
    """
    names, origin = _hub_names(table.file.schema_arrow.metadata, table.columns["label"]), "the parquet schema"
    for file in NAME_FILES:
        if names is None and (folder / file).exists():
            try:
                lines = regular_file(folder / file, MAX_NAME_BYTES).read_text(encoding="utf-8-sig").splitlines()
            except (OSError, UnicodeDecodeError) as error:
                reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
                raise UserError(f"{setting}: {file}: {reason}; save it as UTF-8, one name a line") from error
            names, origin = tuple(line.strip() for line in lines if line.strip()), file
    if names is None:
        return None
    if len(names) < 2 or len(set(names)) < len(names):
        raise UserError(
            f"{setting}: {origin} gives the class names {', '.join(names)}; give two or more, all different"
        )
    return names


def codes_of(
    declared: Mapping[str, tuple[str, ...] | None], setting: str
) -> tuple[tuple[str, ...] | None, dict[str, Sequence[int]]]:
    """The names of the first file, and for each file the labels in those names that its own labels 0, 1, ... mean.

    Args:
        declared: of each file the names from :func:`declared_names`.
        setting: ``ingest.path=...``, for errors.

    Raises:
        UserError: a file has a class that the first has not, or no names where others have.
    """
    first, class_names = next(iter(declared.items()))
    codes: dict[str, Sequence[int]] = {}
    for file, names in declared.items():
        if (names is None) != (class_names is None) or not set(names or ()) <= set(class_names or ()):
            told = [", ".join(these or ("none",)) for these in (names, class_names)]
            raise UserError(
                f"{setting}: {file} has the class names {told[0]}, {first} {told[1]}; name the classes alike in all "
                f"files, or put the names of files without into {NAME_FILES[0]}"
            )
        codes[file] = [class_names.index(name) for name in names] if names and class_names else ANY_LABEL
    return class_names, codes


def names_in(texts: pd.Series, setting: str) -> tuple[tuple[str, ...], pd.Series]:
    """Return the different texts, names of classes, in order, whole numbers by value; and each text's place there."""
    names = sorted(set(texts))
    if all(re.fullmatch(r"-?[0-9]{1,18}", name) for name in names):
        names.sort(key=int)
    if len(names) < 2:
        raise UserError(f"{setting}: one class only ({', '.join(names)}); give images of two or more")
    return tuple(names), texts.map({name: code for code, name in enumerate(names)})


def inferred_names(labels: NDArray[np.int64], setting: str) -> tuple[str, ...]:
    """Names where none are declared: CIFAR-10's where the labels are CIFAR-10's in official order, else class_0, ...

    Raises:
        UserError: labels with gaps, which could be anything, or fewer than two.
    """
    if sha256_of(labels.astype("<i8")) == CIFAR10_LABELS_SHA256:
        _log.info(
            "no class names in the files; the labels are those of CIFAR-10 in official order, so its names are taken"
        )
        return CIFAR10_NAMES
    present = np.unique(labels)
    if len(present) < 2 or present[-1] != len(present) - 1:
        gap = "only one class" if len(present) < 2 else f"{len(present)} classes, but labels up to {present[-1]}"
        raise UserError(
            f"{setting}: {gap}, and no class names; number two or more classes from 0 without gaps, or put their names "
            f"into {NAME_FILES[0]} in this folder, one a line"
        )
    _log.warning("%s: no class names; %s in this folder would give them, one a line", setting, NAME_FILES[0])
    return tuple(f"class_{i}" for i in present)


def _hub_names(metadata: Mapping[bytes, bytes] | None, label_column: str) -> tuple[str, ...] | None:
    """``{"info": {"features": {label_column: {"names": [...], "_type": "ClassLabel"}}}}``, as ``datasets`` writes it.

    Older spellings nest ``class_label``, or give names as a mapping of numbers, as in a dataset card.
    """
    feature: Any
    try:
        feature = json.loads((metadata or {})[b"huggingface"])["info"]["features"][label_column]
        feature = feature.get("class_label", feature)
        names = feature["names"]
        names = [names[key] for key in sorted(names, key=int)] if isinstance(names, dict) else names
        return tuple(str(name) for name in names) or None
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
