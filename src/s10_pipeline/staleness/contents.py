"""What is in a stored artifact."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from ..identity.atomic import replacing
from ..identity.digests import Memo
from .kedro_internals import file_system_of, is_local, is_versioned, path_of


class Content(NamedTuple):
    """An artifact as some node wrote or will write it.

    The digest is of its bytes; of one in memory, of what it is made of; None where nothing can be said. What is not
    versioned has None for a version.
    """

    version: str | None
    digest: str | None


def versions_of(dataset: Any) -> list[str]:
    """Return the versions that are stored, newest first."""
    return list(map(str, dataset.list_versions(full_path=False))) if is_versioned(dataset) else []


def content_of(dataset: Any, version: str | None, memo: Memo) -> Content:
    """Return what is stored; its digest is None too where files that a version shares with others are gone."""
    path, fs = path_of(dataset, version), file_system_of(dataset)
    digest = memo.digest(path, fs) if path else None
    shared = dataset.shared_files(path) if digest and hasattr(dataset, "shared_files") else ()
    return Content(version, digest if all(map(fs.exists, shared)) else None)


def link_version(dataset: Any, old: str, new: str) -> bool:
    """Let a version be the same file on the disk as an older one, if the file system can; else it stays as it is.

    Equal outputs of two runs are one file then, so a stored file must never be edited in place.
    """
    if is_local(dataset):
        with suppress(OSError), replacing(Path(str(path_of(dataset, new)))) as partial:
            os.link(str(path_of(dataset, old)), partial)
            return True
    return False
