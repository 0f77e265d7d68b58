"""``kedro prune``: free the disk of what no kept version needs."""

import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .options import in_environment, open_context, open_records

if TYPE_CHECKING:
    from ..caching.records import Record

Versions = set[tuple[str, str]]

# What nothing names may belong to something that is just being written, by another runner.
ORPHAN_SECONDS = 3600


@click.command()
@click.option("--keep-last", type=click.IntRange(min=1), help="Keep this many of the newest versions of each dataset.")
@click.option("--older-than", type=click.FloatRange(min=0), metavar="DAYS", help="Remove only what is older.")
@click.option("--apply", is_flag=True, help="Really remove; otherwise it is only listed.")
@in_environment
def prune(
    keep_last: int | None, older_than: float | None, apply: bool, env: str | None, conf_source: str | None
) -> None:
    """Remove old versions, the pixels they alone use, and checkpoints of finished trainings.

    What a kept version was made from stays too, back to the first stage. The newest version of each dataset always
    stays, and so do the checkpoints of unfinished trainings and of models that are kept.
    """
    from ..vision.errors import UserError

    if keep_last is None and older_than is None:
        raise UserError("--keep-last: say what may go; give --keep-last=N, --older-than=DAYS or both")
    catalog = open_context(env, conf_source).catalog
    store = open_records(catalog)
    with store.alone() as going_on:
        if going_on:
            raise UserError(f"--apply: a run is going on ({', '.join(going_on)}); wait for its end")
        versions = _stored_versions(catalog)
        keep = _with_what_made_them(_newest(versions, keep_last, older_than), store.all())
        doomed = {(name, v) for name, found in versions.items() for v in found} - keep
        paths = [
            *_version_paths(catalog, doomed),
            *_broken_paths(catalog, versions),
            *_shared_paths(catalog, keep),
            *_checkpoint_paths(catalog, keep),
        ]
        lost = [record for record in store.all() if _is_lost(record, doomed)]
        paths += map(store.path_of, lost)
        size = _freed_bytes(paths)
        for path in paths:
            shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
            click.echo(f"{'removed' if apply else 'would remove'} {shown}")
            if apply:
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        did = "freed" if apply else "would be freed; --apply removes them"
        click.echo(f"{len(doomed)} of {sum(map(len, versions.values()))} versions, {size / 1e6:.1f} MB {did}")


def _stored_versions(catalog: Any) -> dict[str, list[str]]:
    """Dataset -> versions on the local disk, newest first."""
    from ..caching.contents import is_versioned, versions_of

    names = [name for name in catalog.keys() if not name.startswith("param")]  # noqa: SIM118 - not a mapping
    local = [n for n in names if is_versioned(catalog[n]) and getattr(catalog[n], "_protocol", "file") == "file"]
    return {name: versions_of(catalog[name]) for name in local}


def _newest(versions: dict[str, list[str]], keep_last: int | None, older_than: float | None) -> Versions:
    limit = None
    if older_than is not None:
        # versions are times in UTC that sort as text
        limit = (datetime.now(UTC) - timedelta(days=older_than)).strftime("%Y-%m-%dT%H.%M.%S")
    return {
        (name, version)
        for name, found in versions.items()
        for place, version in enumerate(found)
        if place < max(keep_last or 0, 1) or (limit is not None and version >= limit)
    }


def _with_what_made_them(keep: Versions, records: "list[Record]") -> Versions:
    """The versions, those that their records read, those saved with them, and so on back."""
    by_output: dict[tuple[str, str | None], list[Record]] = {}
    for record in records:
        for name, output in record.outputs.items():
            by_output.setdefault((name, output["version"]), []).append(record)
    kept: Versions = set()
    todo = list(keep)
    while todo:
        item = todo.pop()
        if item not in kept:
            kept.add(item)
            for record in by_output.get(item, ()):
                named = [*record.inputs.items(), *((n, o["version"]) for n, o in record.outputs.items())]
                todo += [(name, version) for name, version in named if version]
    return kept


def _is_lost(record: "Record", doomed: Versions) -> bool:
    return any((name, output["version"]) in doomed for name, output in record.outputs.items())


def _version_paths(catalog: Any, doomed: Versions) -> list[Path]:
    from ..caching.contents import path_of

    return [Path(str(path_of(catalog[name], version))).parent for name, version in sorted(doomed)]


def _broken_paths(catalog: Any, versions: Iterable[str]) -> list[Path]:
    """Folders of versions without their file: what killed saves left."""
    from ..caching.contents import path_of

    folders = [path for name in versions for path in Path(str(path_of(catalog[name], None))).glob("*/")]
    broken = [path for path in folders if not (path / path.parent.name).exists()]
    return [path for path in broken if time.time() - path.stat().st_mtime > ORPHAN_SECONDS]


def _shared_paths(catalog: Any, keep: Versions) -> list[Path]:
    """Files that no kept version names, in folders that versions share."""
    from ..caching.contents import path_of

    folders: set[str] = set()
    named: set[str] = set()
    for name in catalog.keys():  # noqa: SIM118 - not a mapping
        dataset = catalog[name]
        if hasattr(dataset, "shared_files") and getattr(dataset, "_protocol", "file") == "file":
            folders.add(dataset.shared_folder)
            for version in (v for n, v in keep if n == name):
                path = str(path_of(dataset, version))
                named |= set(dataset.shared_files(path)) if os.path.exists(path) else set()
    found = [path for folder in folders if os.path.isdir(folder) for path in sorted(Path(folder).iterdir())]
    return [p for p in found if str(p) not in named and time.time() - p.stat().st_mtime > ORPHAN_SECONDS]


def _checkpoint_paths(catalog: Any, keep: Versions) -> list[Path]:
    """Scopes of finished trainings whose model is not kept."""
    from filelock import FileLock, Timeout

    from ..caching.contents import path_of

    named = set()
    for version in (v for name, v in keep if name == "provenance"):
        try:
            path = Path(str(path_of(catalog["provenance"], version)))
            named.add(json.loads(path.read_text(encoding="utf-8"))["checkpoints"])
        except (OSError, ValueError, KeyError):
            continue
    paths = []
    for mark in sorted(Path(str(path_of(catalog["checkpoints"], None))).glob("*/finished.json")):
        try:
            with FileLock(mark.parent / "owner.lock", timeout=0):
                paths += [mark.parent] if mark.parent.name not in named else []
        except Timeout:
            continue
    return paths


def _freed_bytes(paths: Iterable[Path]) -> int:
    """Of files that are linked from elsewhere too, nothing is freed."""
    stats = [f.stat() for p in paths for f in ([*p.rglob("*")] if p.is_dir() else [p]) if f.is_file()]
    links = Counter((stat.st_dev, stat.st_ino) for stat in stats)
    sizes = {(s.st_dev, s.st_ino): s.st_size for s in stats if links[s.st_dev, s.st_ino] == s.st_nlink}
    return sum(sizes.values())
