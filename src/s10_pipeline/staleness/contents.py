"""Find stored versions of datasets, compute their content digests, and hard-link equal versions."""

import os
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from ..identity.atomic import replacing
from ..identity.digests import Memo, digest_of
from .kedro_internals import file_system_of, is_local, is_versioned, path_of


class Content(NamedTuple):
    """Version and content digest of a dataset that a node reads or writes.

    The digest of a stored dataset is computed from its bytes. The digest of a dataset in memory is computed from
    everything that it is made from. An unknown digest is None. The version of an unversioned dataset is None.
    """

    version: str | None
    digest: str | None


def versions_of(dataset: Any) -> list[str]:
    """Return the stored versions of a dataset, newest first."""
    return list(map(str, dataset.list_versions(full_path=False))) if is_versioned(dataset) else []


def content_of(dataset: Any, version: str | None, memo: Memo) -> Content:
    """Return version and digest of a stored dataset; the digest is None if one of its files is missing.

    If the dataset shares files between versions and one of them is damaged, the digest differs from that at the saving.
    """
    path, fs = path_of(dataset, version), file_system_of(dataset)
    digest = memo.digest(path, fs) if path else None
    shared = dataset.shared_files(path) if digest and hasattr(dataset, "shared_files") else ()
    if not all(map(fs.exists, shared)):
        return Content(version, None)
    for file in shared if is_local(dataset) else ():
        if not memo.get_or_compute(f"intact {file}", memo.digest(file), partial(dataset.is_intact, file)):
            digest = digest_of([digest, file])
    return Content(version, digest)


def link_version(dataset: Any, old: str, new: str) -> bool:
    """Replace a version's file by a hard link to an equal older version; return whether the file system allows it.

    Equal outputs of two runs are then one file on disk, so a stored file must never be edited in place.
    """
    if is_local(dataset):
        with suppress(OSError), replacing(Path(str(path_of(dataset, new)))) as partial:
            os.link(str(path_of(dataset, old)), partial)
            return True
    return False
