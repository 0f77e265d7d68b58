"""``kedro lineage``: from an artifact back to the archive that it all began with."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .options import in_environment, open_context, open_records

if TYPE_CHECKING:
    from ..caching.records import Record


@click.command()
@click.argument("artifact")
@click.option("--version", help="A version of the artifact; the newest if not given.")
@in_environment
def lineage(artifact: str, version: str | None, env: str | None, conf_source: str | None) -> None:
    """What made ARTIFACT (a dataset's name, or a stored file), and what that was made from."""
    from ..caching.contents import versions_of
    from ..caching.records import Record
    from ..vision.errors import UserError, did_you_mean

    catalog = open_context(env, conf_source).catalog
    store = open_records(catalog)
    makers: dict[tuple[str, str | None], Record] = {}
    for record in reversed(store.all()):
        for name, output in record.outputs.items():
            # by content too: a stage may have read an equal version whose record is not there
            makers |= {(name, output["digest"]): record, (name, output["version"]): record}
    if artifact not in catalog:
        artifact, version = _named_by_path(artifact, catalog)
    elif version is None:
        versions = versions_of(catalog[artifact])
        version = versions[0] if versions else None
    if (artifact, version) not in makers:
        known = sorted((v for n, v in makers if n == artifact and v), reverse=True)
        remedy = did_you_mean(str(version), known) if known else "make it with kedro run"
        raise UserError(f"{artifact}: no record of version {version}; {remedy}")
    _print(artifact, version, None, makers, catalog, "", set())


def _named_by_path(path: str, catalog: Any) -> tuple[str, str | None]:
    from ..caching.contents import path_of, versions_of
    from ..vision.errors import UserError, did_you_mean

    wanted = Path(path).absolute()
    for name in (name for name in catalog.keys() if not name.startswith("param")):  # noqa: SIM118 - not a mapping
        for version in [None, *versions_of(catalog[name])]:
            if path_of(catalog[name], version) == str(wanted):
                return name, version
    names = [name for name in catalog.keys() if not name.startswith("param")]  # noqa: SIM118
    raise UserError(f"{path}: neither a dataset nor a stored artifact's file; {did_you_mean(path, names)}")


def _print(
    name: str,
    version: str | None,
    digest: str | None,
    makers: "dict[tuple[str, str | None], Record]",
    catalog: Any,
    indent: str,
    shown: set[tuple[str, str | None]],
) -> None:
    record = makers.get((name, version)) or makers.get((name, digest))
    label = f"{indent}{name} {version or '(not versioned)'}"
    if record is None or (name, version) in shown:
        click.echo(label + (" (above)" if record else " (nobody recorded what made it)"))
        return
    told = (record.node, record.run) in shown
    shown |= {(name, version), (record.node, record.run)}
    about, git = record.about, record.about.get("git", {})
    code = f"commit {git['commit'][:10]}{', edited' if git.get('dirty') else ''}" if git else "no checkout"
    click.echo(f"{label}  sha256:{str(record.outputs[name]['digest'])[:16]}")
    indent += "  "
    if told:
        click.echo(f"{indent}by {record.node} (above)")
        return
    click.echo(
        f"{indent}by {record.node}, {about.get('started')}, {about.get('seconds')} s, {about.get('device')} of "
        f"{about.get('host')}, {code}" + (f", as version {record.same_as}" if record.same_as else "")
    )
    if values := record.parts.get("parameters"):
        click.echo(f"{indent}with {', '.join(f'{key}={json.dumps(value)}' for key, value in values.items())}")
    for file, digest in record.parts.get("files", {}).items():
        click.echo(f"{indent}from the files of {file}, sha256:{str(digest)[:16]}")
    if source := _source(record.outputs, catalog):
        click.echo(f"{indent}from {source}")
    for parent, parent_version in record.inputs.items():
        _print(parent, parent_version, record.parts["inputs"].get(parent), makers, catalog, indent, shown)


def _source(outputs: dict[str, dict[str, str | None]], catalog: Any) -> str:
    """Titles and checksums of what a node read images from."""
    from ..caching.contents import path_of
    from ..datasets.image_set import ImageSetDataset

    found = []
    for name, output in outputs.items():
        path = path_of(catalog[name], output["version"]) if isinstance(catalog[name], ImageSetDataset) else None
        if path and Path(path).exists():
            source = json.loads(Path(path).read_text(encoding="utf-8"))["source"]
            found.append(f"{source.get('title', source['name'])} ({name}: checksum {source['checksum']})")
    return ", ".join(found)
