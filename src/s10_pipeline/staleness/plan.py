"""Decide for each node, in the order of the pipeline, whether it must run, and why."""

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

# State of a node after one that must run: the later node runs only if the earlier node changes its inputs.
WAITS = "waits"


class Decision(NamedTuple):
    """The decision whether a node must run, and the reason.

    Attributes:
        state: :data:`UP_TO_DATE`, :data:`RUNS` or :data:`WAITS`.
        why: reason in words; empty if the node is up to date.
        record: for an up-to-date node, the run record of its results.
    """

    node: Node
    state: str
    why: str
    record: Record | None = None

    def __str__(self) -> str:
        return f"{self.node.name}: {self.state}" + (f", {self.why}" if self.why else "")


class Plan:
    """Compares the fingerprints of nodes with run records of earlier runs, to decide which nodes must run.

    An input that no node of the pipeline writes is read in its newest version whose run saved all outputs of the node
    that writes it.

    Attributes:
        known: dataset -> content that this run reads or will read.
        chosen: dataset -> version that the user chose with ``--load-versions``.
        producers: dataset -> node that writes it, in any pipeline of the project.
        stored: node -> parameters (dotted name -> value) that replace those of the catalog.
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
            self.fingerprints.code(node.func)  # Analyse the code now, because it may be edited during the run.

    def decisions(self) -> list[Decision]:
        """Return a decision for each node without running any; nodes after one that must run may get ``waits``."""
        return [self.decide(node) for node in self.pipeline.nodes]

    def decide(self, node: Node) -> Decision:
        """Decide whether a node must run, and note the digests of its outputs for the decisions about later nodes."""
        parts = self.fingerprints.parts(node, self.catalog, self.inputs(node), self.stored.get(node.name))
        decision = self._compare(node, parts)
        self.know(node, parts, decision.record)
        return decision

    def go_by_stored(self, versions: Iterable[tuple[str, str | None]]) -> None:
        """Use recorded instead of current parameters for the nodes that made these versions, and for earlier nodes.

        Args:
            versions: (dataset, version) of each stored result whose parameters to use.
        """
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
                return Decision(node, RUNS, f"{name} is missing or cannot be compared")
        in_memory = [name for name in node.outputs if not self.is_stored(name)]
        if in_memory or not node.outputs:
            return Decision(node, RUNS, f"{in_memory[0]} is only in memory" if in_memory else "it has no outputs")
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
        """Return name -> version and digest of a node's input datasets, except those that cannot change its result."""
        return {name: self.content(name) for name in node.inputs if self.rules.is_input(name)}

    def content(self, name: str) -> Content:
        """Return version and digest of the stored dataset that this run reads.

        That is what this run knows already, else the version chosen by the user, else the newest complete version.

        A version is complete if all outputs that its node saved in the same run exist.
        """
        if name not in self.known:
            version = self.chosen.get(name) or self._newest_whole_version(name)
            self.known[name] = content_of(self.catalog.get(name), version, self.store.memo)
        return self.known[name]

    def know(self, node: Node, parts: Parts, record: Record | None) -> None:
        """Store the digests of a node's outputs in ``known``, for the decisions about later nodes.

        The digests come from the run record. Without a record, they are :data:`PENDING`. The digest of an output in
        memory is computed from everything that the output is made from.
        """
        waits = PENDING in parts["inputs"].values()
        for name in set(node.outputs).difference(self.chosen):
            if not self.is_stored(name):
                self.known[name] = Content(None, PENDING if waits else f"{name} of {digest_of(parts)}")
            else:
                self.known[name] = Content(**record.outputs[name]) if record else Content(None, PENDING)

    def is_stored(self, name: str) -> bool:
        """Return whether a dataset of the catalog is stored, not only in memory during the run."""
        return is_stored(self.catalog.get(name))

    def _newest_whole_version(self, name: str) -> str | None:
        producer = self.producers.get(name)
        outputs = [self.catalog.get(output) for output in producer.outputs] if producer else []
        versions = versions_of(self.catalog.get(name))
        complete = set(versions).intersection(*(versions_of(output) for output in outputs if is_versioned(output)))
        newest = max(complete or versions, default=None)
        if newest and newest != versions[0]:
            log.warning("dataset %s: skipped version %s, because its run did not save all outputs", name, versions[0])
        return newest

    def _what_is_lost(self, record: Record) -> str:
        """Describe which output in a run record is missing or was changed; return an empty text if none is."""
        for name, output in record.outputs.items():
            if self.is_stored(name):
                digest = content_of(self.catalog.get(name), output["version"], self.store.memo).digest
                if not digest or digest != output["digest"]:
                    return f"{name} was changed after it was saved" if digest else f"{name} is missing"
        return ""
