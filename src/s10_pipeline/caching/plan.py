"""Which nodes must run, and why, one by one in the order of the pipeline."""

import logging
from dataclasses import dataclass
from typing import Any

from kedro.framework.project import pipelines as registered_pipelines
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from .contents import PENDING, Content, chosen_version, content_of, digest_of, is_versioned, versions_of
from .fingerprint import Fingerprinter, Rules, changes_in_words, is_parameter
from .records import Parts, Record, RecordStore

log = logging.getLogger(__name__)

UP_TO_DATE = "up to date"
RUNS = "runs"
WAITS = "waits"  # for nodes before it: it runs only if they change what it reads
ON_DEMAND = "on demand"  # its results live in memory: it runs if a node that reads them does


@dataclass(frozen=True)
class Decision:
    """What is to be done with a node.

    Attributes:
        why: in words; empty where it is up to date.
        record: of an up-to-date node, the one that holds its results.
    """

    node: Node
    state: str
    why: str
    parts: Parts
    record: Record | None = None

    def __str__(self) -> str:
        return f"{self.node.name}: {self.state}" + (f", {self.why}" if self.why else "")


class Plan:
    """Compares nodes with their records, given what is known of their inputs.

    Attributes:
        known: dataset -> what is or will be read of it in this run.
        producers: dataset -> the node that writes it, over all pipelines of the project.
    """

    def __init__(self, rules: Rules, pipeline: Pipeline, catalog: Any, store: RecordStore) -> None:
        self.rules, self.pipeline, self.catalog, self.store = rules, pipeline, catalog, store
        self.fingerprints = Fingerprinter(rules, store.memo)
        self.known: dict[str, Content] = {}
        every = [*dict(registered_pipelines).values(), pipeline]
        self.producers = {name: node for p in every for node in p.nodes for name in node.outputs}
        for node in pipeline.nodes:
            self.fingerprints.code(node.func)  # now: what is edited while the run goes on is not what it runs

    def decisions(self) -> list[Decision]:
        """One for each node as long as nothing runs: nodes behind one that runs have to wait."""
        found = []
        for node in self.pipeline.nodes:
            found.append(self.decide(node))
            self.know(node, found[-1].parts, found[-1].record)
        return found

    def decide(self, node: Node) -> Decision:
        """Compare a node with its records; what it reads must be known, or lie in the catalog."""
        inputs = self.inputs(node)
        parts = self.fingerprints.parts(node, self.catalog, inputs)
        pending = [name for name, content in inputs.items() if content.digest == PENDING]
        unclear = [name for name, content in inputs.items() if content.digest is None]
        if unclear:
            return Decision(node, RUNS, f"{unclear[0]} is missing, or of a kind that cannot be compared", parts)
        if not any(self.is_stored(name) for name in node.outputs):
            if any(set(node.outputs) & set(other.inputs) for other in self.pipeline.nodes):
                return Decision(node, ON_DEMAND, "in memory alone, for nodes that run", parts)
            return Decision(node, RUNS, "its results are in memory alone", parts)
        why = "no record of a finished run"
        for number, record in enumerate(self.store.of(node.name)):
            changes = changes_in_words(record.parts, parts)
            lost = changes or self._what_is_lost(record)
            if not lost and pending:
                return Decision(node, WAITS, f"runs if {' or '.join(pending)} changes", parts)
            if not lost:
                return Decision(node, UP_TO_DATE, "", parts, record)
            if number == 0 or not changes:
                why = lost
        return Decision(node, RUNS, why, parts)

    def inputs(self, node: Node) -> dict[str, Content]:
        """What a node reads, parameters and what cannot change a result left out."""
        return {name: self.content(name) for name in node.inputs if self.is_input(name)}

    def is_input(self, name: str) -> bool:
        return not is_parameter(name) and name not in self.rules.harmless_inputs

    def content(self, name: str) -> Content:
        """Of a dataset that no node of this pipeline has written: the newest version that is whole."""
        if name not in self.known:
            self.known[name] = Content(None, None)
            if self.is_stored(name):
                dataset = self.catalog.get(name)
                self.known[name] = content_of(dataset, self._version_to_read(name, dataset), self.store.memo)
        return self.known[name]

    def know(self, node: Node, parts: Parts, record: Record | None) -> None:
        """What comes after a node reads what its record names; of what lies in no file, what it is made of counts."""
        waits = any(content.digest == PENDING for content in self.inputs(node).values())
        for name in node.outputs:
            stored = record.outputs[name] if record else {"version": None, "digest": PENDING}
            content = Content(stored["version"], stored["digest"])
            if not self.is_stored(name):
                content = Content(None, PENDING if waits else f"{name} of {digest_of(parts)}")
            self.known[name] = content

    def is_stored(self, name: str) -> bool:
        """Whether a dataset outlives the run."""
        return not getattr(self.catalog.get(name), "_EPHEMERAL", True)

    def _version_to_read(self, name: str, dataset: Any) -> str | None:
        versions = versions_of(dataset)
        producer = self.producers.get(name)
        if (chosen := chosen_version(dataset)) or not versions or not producer:
            return chosen or next(iter(versions), None)
        recorded = {r.outputs[name]["version"] for r in self.store.of(producer.name) if name in r.outputs}
        siblings = [s for output in producer.outputs if is_versioned(s := self.catalog.get(output))]
        complete = set(versions).intersection(*map(versions_of, siblings))
        whole = next((version for version in versions if version in recorded | complete), versions[0])
        if whole != versions[0]:
            log.warning("%s: version %s passed over, the run that made it did not finish", name, versions[0])
        return whole

    def _what_is_lost(self, record: Record) -> str:
        """Which of a record's results are not there any more, in words."""
        for name, output in record.outputs.items():
            if self.is_stored(name):
                digest = content_of(self.catalog.get(name), output["version"], self.store.memo).digest
                if not digest or digest != output["digest"]:
                    return f"{name} was changed after it was saved" if digest else f"{name} is missing"
        return ""
