"""The command ``kedro prune``: remove old versions of datasets, except those that a kept version was made from."""

import os
import shutil
import time
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from ..contents import versions_of
from ..fingerprint import Rules, Versions
from ..kedro_internals import is_local, is_versioned, path_of
from ..records import Record
from .options import datasets_of, in_environment, open_context, open_records

# A file that no stored version uses is removed only if it is older than this many seconds. A younger file may belong to
# a version that a run is about to save.
ORPHAN_SECONDS = 3600


def prune_command(rules: Rules) -> click.Command:
    """Build the command ``kedro prune``, which removes old versions and what the function ``rules.unneeded`` lists."""

    @click.command()
    @click.option("--keep-last", type=click.IntRange(min=1), help="Keep this many newest versions of each dataset.")
    @click.option("--older-than", type=click.FloatRange(min=0), metavar="DAYS", help="Remove only older versions.")
    @click.option("--apply", is_flag=True, help="Remove the files; without this option they are only listed.")
    @in_environment
    def prune(
        keep_last: int | None, older_than: float | None, apply: bool, env: str | None, conf_source: str | None
    ) -> None:
        """Remove old versions of datasets, and the files and checkpoints that only these versions need.

        The newest version of each dataset is always kept, and so is everything that a kept version was made from.
        """
        if keep_last is None and older_than is None:
            raise click.ClickException("--keep-last: no limit given; give --keep-last=N, --older-than=DAYS or both")
        catalog = open_context(env, conf_source).catalog
        datasets, store = {n: d for n, d in datasets_of(catalog).items() if is_local(d)}, open_records(catalog)
        with store.alone() as going_on:
            if going_on:
                raise click.ClickException(f"prune: a run is in progress ({', '.join(going_on)}); wait until it ends")
            versions = {name: versions_of(dataset) for name, dataset in datasets.items() if is_versioned(dataset)}
            keep = _with_what_made_them(_newest(versions, keep_last, older_than), store.all())
            doomed = {(name, v) for name, found in versions.items() for v in found} - keep
            paths = [
                *(Path(str(path_of(datasets[name], version))).parent for name, version in sorted(doomed)),
                *_broken_paths(datasets[name] for name in versions),
                *_shared_paths(datasets, keep),
                *rules.unneeded(catalog, keep),
                *(store.path_of(record) for record in store.all() if record.saved() & doomed),
            ]
            size = _freed_bytes(paths)
            for path in paths:
                shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
                click.echo(f"{'removed' if apply else 'would remove'} {shown}")
                if apply:
                    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
            did = "freed" if apply else "would be freed; --apply removes them"
            click.echo(f"{len(doomed)} of {sum(map(len, versions.values()))} versions, {size / 1e6:.1f} MB {did}")

    return prune


def _newest(versions: dict[str, list[str]], keep_last: int | None, older_than: float | None) -> Versions:
    age = timedelta(days=older_than or 0)
    # Keep versions that are younger than this limit. Versions are times in UTC, which sort as text. Without
    # --older-than, the limit "~" sorts after every version, so no version is kept for its age.
    limit = "~" if older_than is None else (datetime.now(UTC) - age).strftime("%Y-%m-%dT%H.%M.%S")
    return {
        (name, version)
        for name, found in versions.items()
        for place, version in enumerate(found)
        if place < max(keep_last or 0, 1) or version >= limit
    }


def _with_what_made_them(keep: Versions, records: list[Record]) -> Versions:
    """Also keep what the versions were made from, directly or not, and all outputs of the stage runs that made any."""
    kept: Versions = set()
    while more := keep - kept:
        kept |= more
        keep = kept.union(*(record.saved() | record.read() for record in records if record.saved() & more))
    return kept


def _broken_paths(datasets: Iterable[Any]) -> list[Path]:
    """Return folders of dataset versions, over an hour old, that a killed process left without a data file."""
    folders = [path for dataset in datasets for path in Path(str(path_of(dataset, None))).glob("*/")]
    return [path for path in folders if not (path / path.parent.name).exists() and _is_old(path)]


def _shared_paths(datasets: dict[str, Any], keep: Versions) -> list[Path]:
    """Return the files that no kept version uses, in folders whose files several dataset versions share."""
    sharing = {name: dataset for name, dataset in datasets.items() if hasattr(dataset, "shared_files")}
    stored = [(sharing[name], str(path_of(sharing[name], version))) for name, version in keep if name in sharing]
    named = {file for dataset, path in stored if os.path.exists(path) for file in dataset.shared_files(path)}
    folders = {Path(dataset.shared_folder) for dataset in sharing.values()}
    found = [path for folder in folders for path in sorted(folder.glob("*"))]
    return [path for path in found if str(path) not in named and _is_old(path)]


def _is_old(path: Path) -> bool:
    return time.time() - path.stat().st_mtime > ORPHAN_SECONDS


def _freed_bytes(paths: Iterable[Path]) -> int:
    """Return how many bytes are freed if the paths are removed; a file with a hard link elsewhere frees nothing."""
    stats = [f.stat() for p in paths for f in ([*p.rglob("*")] if p.is_dir() else [p]) if f.is_file()]
    links = Counter((stat.st_dev, stat.st_ino) for stat in stats)
    sizes = {(s.st_dev, s.st_ino): s.st_size for s in stats if links[s.st_dev, s.st_ino] == s.st_nlink}
    return sum(sizes.values())
