"""Find class names: in the parquet schema, in a text file, from text labels, or by recognising CIFAR-10's labels."""

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
# Labels that are allowed if no class names are declared: 0 to 2**63 - 2. No longer range has a len() in Python.
ANY_LABEL = range(2**63 - 1)
NAME_FILES = ("class_names.txt", "labels.txt")
CIFAR10_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
# SHA-256 of CIFAR-10's 50,000 training labels followed by its 10,000 test labels (little-endian int64), in the order of
# the official archive. Images with these labels get CIFAR-10's class names, even if their pixels were changed.
CIFAR10_LABELS_SHA256 = "5083e6dd0895f94970ae8513f046bf3004b333931aad82b619d23ab76f2e1845"


def declared_names(table: Table, folder: Path, setting: str) -> tuple[str, ...] | None:
    """Return the class names that a parquet file's metadata or a text file beside it declares, or None.

    Names are in label order. The metadata has priority; see :func:`_hub_names`.

    Args:
        table: the parquet file whose labels need names.
        folder: folder that may hold ``class_names.txt`` or ``labels.txt``, with one name per line.
        setting: ``ingest.path=...``, for error messages.

    Raises:
        UserError: there are fewer than two names, names repeat, or the text file cannot be read.
    """
    names, origin = _hub_names(table.file.schema_arrow.metadata, table.columns["label"]), "the parquet schema"
    for file in NAME_FILES:
        if names is None and (folder / file).exists():
            try:
                lines = regular_file(folder / file, MAX_NAME_BYTES).read_text(encoding="utf-8-sig").splitlines()
            except (OSError, UnicodeDecodeError) as error:
                reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
                raise UserError(
                    f"{setting}: cannot read class names from {file}: {reason}; save them as UTF-8, one name per line"
                ) from error
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
    """Return the class names of the first parquet file, and for each file a list that maps its labels to these names.

    Entry i of a file's list is the index, in the first file's class names, of the class that label i means in the file.

    Args:
        declared: file -> its class names from :func:`declared_names`.
        setting: ``ingest.path=...``, for error messages.

    Raises:
        UserError: a file has a class that the first file lacks, or only some files have names.
    """
    first, class_names = next(iter(declared.items()))
    codes: dict[str, Sequence[int]] = {}
    for file, names in declared.items():
        if (names is None) != (class_names is None) or not set(names or ()) <= set(class_names or ()):
            file_names, first_names = (", ".join(some or ("none",)) for some in (names, class_names))
            raise UserError(
                f"{setting}: {file} has the class names {file_names}, but {first} has {first_names}; use the same "
                "class names in all parquet files, or list the class names in class_names.txt if some files have none"
            )
        codes[file] = [class_names.index(name) for name in names] if names and class_names else ANY_LABEL
    return class_names, codes


def names_in(texts: pd.Series, setting: str) -> tuple[tuple[str, ...], pd.Series]:
    """Return the distinct class names in ``texts``, sorted (whole numbers by value), and the label of each text."""
    names = sorted(set(texts))
    if all(re.fullmatch(r"-?[0-9]{1,18}", name) for name in names):
        names.sort(key=int)
    if len(names) < 2:
        raise UserError(f"{setting}: one class only ({', '.join(names)}); give images of two or more")
    return tuple(names), texts.map({name: code for code, name in enumerate(names)})


def inferred_names(labels: NDArray[np.int64], setting: str) -> tuple[str, ...]:
    """Return names for undeclared classes: CIFAR-10's if the labels equal them image by image, else class_0, ...

    Raises:
        UserError: there are fewer than two classes, or numbers are missing between the labels.
    """
    if sha256_of(labels.astype("<i8")) == CIFAR10_LABELS_SHA256:
        _log.info(
            "no class names in the files, but image by image the labels equal CIFAR-10's, so CIFAR-10's names are used"
        )
        return CIFAR10_NAMES
    present = np.unique(labels)
    if len(present) < 2 or present[-1] != len(present) - 1:
        bad_labels = "only one class" if len(present) < 2 else f"{len(present)} classes, but labels up to {present[-1]}"
        raise UserError(
            f"{setting}: {bad_labels}, and no class names; number two or more classes from 0 without gaps, or list "
            "the class names in class_names.txt in this folder, one per line"
        )
    _log.warning(
        "%s: no class names, so class_0, class_1, ... are used; list names in class_names.txt, one per line", setting
    )
    return tuple(f"class_{i}" for i in present)


def _hub_names(metadata: Mapping[bytes, bytes] | None, label_column: str) -> tuple[str, ...] | None:
    """Return the class names that Hugging Face's library ``datasets`` stored in a parquet file's metadata, or None.

    They are at ``{"info": {"features": {label_column: {"names": [...], "_type": "ClassLabel"}}}}``. In older files,
    ``names`` is inside ``class_label``, or is a mapping from numbers to names.
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
