"""Which nodes must run, and why, one by one in the order of the pipeline."""

import logging
from collections.abc import Iterable
from typing import Any, NamedTuple

from kedro.framework.project import pipelines as registered_pipelines
from kedro.pipeline import Node, Pipeline

from ..identity.differences import PENDING, Parts, changes_in_words
from ..identity.digests import digest_of
from .contents import Content, content_of, versions_of
from .fingerprint import Fingerprinter, Rules
from .kedro_internals import is_stored, is_versioned, version_of
from .records import Record, RecordStore

log = logging.getLogger(__name__)

UP_TO_DATE = "up to date"
RUNS = "runs"
WAITS = "waits"  # for nodes before it: it runs only if they change what it reads
ON_DEMAND = "on demand"  # its results live in memory: it runs if a node that reads them does


class Decision(NamedTuple):
    """What is to be done with a node.

    Attributes:
        why: in words; empty where it is up to date.
        record: of an up-to-date node, the one that holds its results.
    """

    node: Node
    state: str
    why: str
    record: Record | None = None

    def __str__(self) -> str:
        return f"{self.node.name}: {self.state}" + (f", {self.why}" if self.why else "")


class Plan:
    """Compares nodes with their records, given what is known of their inputs.

    A slice takes the newest version whose run saved all outputs of the node.

    Attributes:
        known: dataset -> what is or will be read of it in this run.
        chosen: dataset -> the version that the user wants read, by ``--load-versions``.
        producers: dataset -> the node that writes it, over all pipelines of the project.
        stored: node -> parameters by dotted names that stand in for those of the catalog.
    """

    def __init__(self, rules: Rules, pipeline: Pipeline, catalog: Any, store: RecordStore) -> None:
        self.rules, self.pipeline, self.catalog, self.store = rules, pipeline, catalog, store
        self.fingerprints = Fingerprinter(rules, store.memo)
        self.known: dict[str, Content] = {}
        self.stored: dict[str, dict[str, Any]] = {}
        versions = {name: version_of(catalog.get(name)) for name in pipeline.datasets()}
        self.chosen = {name: version.load for name, version in versions.items() if version and version.load}
        every = [*dict(registered_pipelines).values(), pipeline]
        self.producers = {name: node for p in every for node in p.nodes for name in node.outputs}
        for node in pipeline.nodes:
            self.fingerprints.code(node.func)  # now: what is edited while the run goes on is not what it runs

    def decisions(self) -> list[Decision]:
        """One for each node as long as nothing runs: nodes behind one that runs have to wait."""
        return [self.decide(node) for node in self.pipeline.nodes]

    def decide(self, node: Node) -> Decision:
        """Compare a node with its records, and note what those after it would read."""
        parts = self.fingerprints.parts(node, self.catalog, self.inputs(node), self.stored.get(node.name))
        decision = self._compare(node, parts)
        self.know(node, parts, decision.record)
        return decision

    def go_by_stored(self, versions: Iterable[tuple[str, str | None]]) -> None:
        """Plan with the parameters that made these versions (dataset, version), and those that they were made from."""
        todo, records = list(versions), self.store.all()
        while todo:
            name, version = todo.pop(0)
            made = [r for r in records if name in r.outputs and r.outputs[name]["version"] == version]
            if made and made[0].node not in self.stored:
                self.stored[made[0].node] = made[0].about.get("parameters", {})
                todo += made[0].inputs.items()

    def _compare(self, node: Node, parts: Parts) -> Decision:
        for name, digest in (*parts["inputs"].items(), *parts["files"].items()):
            if digest is None:
                return Decision(node, RUNS, f"{name} is missing, or of a kind that cannot be compared")
        if not any(self.is_stored(name) for name in node.outputs):
            state = RUNS if self.pipeline.outputs().issuperset(node.outputs) else ON_DEMAND
            return Decision(node, state, "its results are in memory alone")
        pending = [name for name, digest in parts["inputs"].items() if digest == PENDING]
        reasons = []
        for record in self.store.of(node.name):
            reason = changes_in_words(record.parts, parts) or self._what_is_lost(record)
            if not reason and pending:
                return Decision(node, WAITS, f"runs if {' or '.join(pending)} changes")
            if not reason:
                return Decision(node, UP_TO_DATE, "", record)
            reasons.append(reason)
        return Decision(node, RUNS, reasons[0] if reasons else "no record of a finished run")

    def inputs(self, node: Node) -> dict[str, Content]:
        """What a node reads, parameters and what cannot change a result left out."""
        return {name: self.content(name) for name in node.inputs if self.rules.is_input(name)}

    def content(self, name: str) -> Content:
        """Of a dataset that no node of this pipeline has written: the chosen version, or the newest that is whole."""
        if name not in self.known:
            version = self.chosen.get(name) or self._newest_whole_version(name)
            self.known[name] = content_of(self.catalog.get(name), version, self.store.memo)
        return self.known[name]

    def know(self, node: Node, parts: Parts, record: Record | None) -> None:
        """What comes after a node reads what its record names; of what lies in no file, what it is made of counts."""
        waits = PENDING in parts["inputs"].values()
        for name in set(node.outputs).difference(self.chosen):
            if not self.is_stored(name):
                self.known[name] = Content(None, PENDING if waits else f"{name} of {digest_of(parts)}")
            else:
                self.known[name] = Content(**record.outputs[name]) if record else Content(None, PENDING)

    def is_stored(self, name: str) -> bool:
        """Whether a dataset outlives the run."""
        return is_stored(self.catalog.get(name))

    def _newest_whole_version(self, name: str) -> str | None:
        producer = self.producers.get(name)
        outputs = [self.catalog.get(output) for output in producer.outputs] if producer else []
        versions = versions_of(self.catalog.get(name))
        complete = set(versions).intersection(*(versions_of(output) for output in outputs if is_versioned(output)))
        newest = max(complete or versions, default=None)
        if newest and newest != versions[0]:
            log.warning("%s: version %s passed over, what was saved with it is not there", name, versions[0])
        return newest

    def _what_is_lost(self, record: Record) -> str:
        """Which of a record's results are not there any more, in words."""
        for name, output in record.outputs.items():
            if self.is_stored(name):
                digest = content_of(self.catalog.get(name), output["version"], self.store.memo).digest
                if not digest or digest != output["digest"]:
                    return f"{name} was changed after it was saved" if digest else f"{name} is missing"
        return ""
