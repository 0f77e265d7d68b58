"""The command ``kedro lineage``: show what made an artifact, back to the first inputs."""

import json
from pathlib import Path
from typing import Any

import click

from ...identity.differences import did_you_mean, printable
from ..contents import versions_of
from ..kedro_internals import path_of
from ..records import Record, RecordStore
from .options import datasets_of, in_environment, open_context, open_records

# Key of a stored artifact: (name of the dataset, version), or (name of the dataset, content digest).
Version = tuple[str, str | None]


@click.command()
@click.argument("artifact")
@click.option("--version", help="A version of the artifact; the newest if not given.")
@in_environment
def lineage(artifact: str, version: str | None, env: str | None, conf_source: str | None) -> None:
    """Show the stage and the parameters that made ARTIFACT (a dataset or stored file), and the same for its inputs."""
    catalog = open_context(env, conf_source).catalog
    datasets, store = datasets_of(catalog), open_records(catalog)
    if artifact not in datasets:
        artifact, version = _named_by_path(artifact, datasets)
    elif version is None:
        version = next(iter(versions_of(datasets[artifact])), None)
    tree = _Tree(datasets, store)
    if (artifact, version) not in tree.makers:
        known = sorted((v for name, v in tree.makers if name == artifact and v), reverse=True)
        remedy = did_you_mean(str(version), known) if known else "make it with kedro run"
        raise click.ClickException(f"{artifact}: no record of version {version}; {remedy}")
    tree.show(artifact, version)


def _named_by_path(path: str, datasets: dict[str, Any]) -> Version:
    wanted = str(Path(path).absolute())
    for name, dataset in datasets.items():
        for version in [None, *versions_of(dataset)]:
            if path_of(dataset, version) == wanted:
                return name, version
    remedy = did_you_mean(Path(path).stem, datasets)
    raise click.ClickException(f"{path}: neither a dataset nor a stored artifact's file; {remedy}")


class _Tree:
    """Prints the run records of an artifact and of everything it was made from, each record only once.

    Attributes:
        makers: (dataset, version) and (dataset, digest) -> run record of the node that made this version.
    """

    def __init__(self, datasets: dict[str, Any], store: RecordStore) -> None:
        self._datasets = datasets
        self._shown: set[Version] = set()
        self.makers: dict[Version, Record] = {}
        for record in reversed(store.all()):
            for name, output in record.outputs.items():
                # Index run records by content digest too. A stage may have read a version that has no record itself,
                # but is equal to a recorded one.
                self.makers |= {(name, output["digest"]): record, (name, output["version"]): record}

    def show(self, name: str, version: str | None, digest: str | None = None, indent: str = "") -> None:
        record = self.makers.get((name, version)) or self.makers.get((name, digest))
        label = f"{indent}{name} {version or '(not versioned)'}"
        if record is None:
            click.echo(f"{label} (no record of what made it)")
            return
        told = (record.node, record.run) in self._shown
        digest = str(record.outputs[name]["digest"])[:16]
        click.echo(f"{label}  sha256:{digest}{f', by {record.node} (above)' if told else ''}")
        if told:
            return
        self._shown.add((record.node, record.run))
        indent += "  "
        for line in self._about(record):
            click.echo(indent + printable(line))
        for parent, parent_version in record.inputs.items():
            self.show(parent, parent_version, record.parts["inputs"].get(parent), indent)

    def _about(self, record: Record) -> list[str]:
        about, git = record.about, record.about.get("git")
        where = f"{about['device']} of {about.get('host')}" if "device" in about else about.get("host")
        code = f", commit {git['commit'][:10]}{', edited' if git.get('dirty') else ''}" if git else ""
        same = f", as version {record.same_as}" if record.same_as else ""
        lines = [f"by {record.node}, {about.get('started')}, {about.get('seconds')} s, {where}{code}{same}"]
        if values := record.parts.get("parameters"):
            lines.append(f"with {', '.join(f'{key}={json.dumps(value)}' for key, value in values.items())}")
        for file, digest in record.parts.get("files", {}).items():
            lines.append(f"from the files of {file}, sha256:{str(digest)[:16]}")
        for name, output in record.outputs.items():
            origin_of = getattr(self._datasets.get(name), "origin_of", None)
            path = path_of(self._datasets.get(name), output["version"])
            if origin_of and path and Path(path).exists() and (origin := origin_of(path)):
                lines.append(f"from {origin} ({name})")
        return lines
