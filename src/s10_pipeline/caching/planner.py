"""Which nodes must run, and why, one by one in the order of the pipeline."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from kedro.io import AbstractDataset, CatalogProtocol
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from .contents import Content, chosen_version, content_of, is_versioned, path_of, versions_of
from .fingerprint import Fingerprinter, Rules, changes_in_words, fingerprint_of, is_parameter
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


class Planner:
    """Compares nodes with their records, given what is known of their inputs.

    Args:
        pipeline: what is to be run.
        producers: dataset -> node that writes it, over all pipelines of the project.

    Attributes:
        known: dataset -> what is or will be read of it in this run.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        catalog: CatalogProtocol[Any, Any],
        rules: Rules,
        store: RecordStore,
        producers: dict[str, Node] | None = None,
    ) -> None:
        self.pipeline, self.catalog, self.rules, self.store = pipeline, catalog, rules, store
        self.fingerprints = Fingerprinter(rules, store.memo)
        self.known: dict[str, Content] = {}
        self._producers = producers if producers is not None else producers_of([pipeline])
        for node in pipeline.nodes:
            self.fingerprints.pieces(node)  # now: what is edited while the run goes on is not what it runs

    def plan(self) -> list[Decision]:
        """A decision for each node as long as nothing runs: nodes behind one that runs have to wait."""
        decisions = []
        for node in self.pipeline.nodes:
            decision = self.decide(node)
            decisions.append(decision)
            if decision.record:
                self.take(node, decision.record)
            elif decision.state == ON_DEMAND:
                self.know_unstored(node, decision.parts)
            else:
                self.known |= {_plain_name(o): Content(None, None, pending=node.name) for o in node.outputs}
        return decisions

    def decide(self, node: Node) -> Decision:
        """Compare a node with its records; what it reads must be known, or lie in the catalog."""
        inputs = self.inputs(node)
        parts = self.fingerprints.parts(node, self.catalog, inputs)
        pending = [name for name, content in inputs.items() if content.pending]
        unclear = [name for name, content in inputs.items() if content.digest is None and not content.pending]
        if unclear:
            return Decision(node, RUNS, f"{unclear[0]} is missing, or of a kind that cannot be compared", parts)
        if not node.outputs:
            return Decision(node, RUNS, "it has no outputs", parts)
        if not any(self.is_stored(name) for name in node.outputs):
            needed = any(set(node.outputs) & set(other.inputs) for other in self.pipeline.nodes)
            why = "in memory alone, for nodes that run" if needed else "its results are in memory alone"
            return Decision(node, ON_DEMAND if needed else RUNS, why, parts)
        gone = ""
        records = self.store.of(node.name)
        for record in records:
            # as text: 3 is not 3.0, and true not 1
            if fingerprint_of(_without(record.parts, pending)) == fingerprint_of(_without(parts, pending)):
                gone = self._gone(record)
                if not gone and pending:
                    return Decision(node, WAITS, f"runs if {_join(pending)} changes", parts)
                if not gone:
                    return Decision(node, UP_TO_DATE, "", parts, record)
        if not gone and records:
            pieces = self.store.pieces(records[0]), self.fingerprints.pieces(node)
            gone = changes_in_words(_without(records[0].parts, pending), _without(parts, pending), *pieces)
        return Decision(node, RUNS, gone or "no record of a finished run", parts)

    def inputs(self, node: Node) -> dict[str, Content]:
        """What a node reads, parameters and what cannot change a result left out."""
        names = [n for n in node.inputs if not is_parameter(n) and n not in self.rules.harmless_inputs]
        return {name: self.content(name) for name in names}

    def content(self, name: str) -> Content:
        """Of a dataset that no node of this pipeline has written: the newest version that is whole."""
        if _plain_name(name) not in self.known:
            dataset = self.catalog.get(name)
            found = Content(None, None)
            if dataset is not None and not dataset._EPHEMERAL:
                found = content_of(dataset, self._version_to_read(name, dataset), self.store.memo)
            self.known[_plain_name(name)] = found
        return self.known[_plain_name(name)]

    def is_stored(self, name: str) -> bool:
        """Whether a dataset is a file, so that its content can be compared."""
        dataset = self.catalog.get(name)
        return dataset is not None and not dataset._EPHEMERAL and path_of(dataset, None) is not None

    def take(self, node: Node, record: Record) -> None:
        """A node is up to date: what comes after it reads the results that the record names."""
        self.know_unstored(node, record.parts)
        stored = {name: output for name, output in record.outputs.items() if output["digest"]}
        self.known |= {_plain_name(name): Content(o["version"], o["digest"]) for name, o in stored.items()}

    def know_unstored(self, node: Node, parts: Parts) -> None:
        """Of what lies in no file, it counts what it is made of."""
        waits = next((c.pending for c in self.inputs(node).values() if c.pending), None)
        for name in node.outputs:
            if not self.is_stored(name):
                self.known[_plain_name(name)] = Content(None, f"{name} of {fingerprint_of(parts)}", waits)

    def _version_to_read(self, name: str, dataset: AbstractDataset[Any, Any]) -> str | None:
        if not is_versioned(dataset):
            return None
        if chosen := chosen_version(dataset):
            return chosen
        versions = versions_of(dataset)
        producer = self._producers.get(_plain_name(name))
        if producer is None or not versions:
            return versions[0] if versions else None
        recorded = {r.outputs.get(name, {}).get("version") for r in self.store.of(producer.name)}
        siblings = [s for o in producer.outputs if (s := self.catalog.get(o)) is not None and is_versioned(s)]
        complete = set(versions).intersection(*(versions_of(sibling) for sibling in siblings))
        whole = next((v for v in versions if v in recorded or v in complete), versions[0])
        if whole != versions[0]:
            log.warning("%s: version %s passed over, the run that made it did not finish", name, versions[0])
        return whole

    def _gone(self, record: Record) -> str:
        """Which of a record's results are not there any more, in words."""
        for name, output in record.outputs.items():
            dataset = self.catalog.get(name)
            if dataset is None:
                return f"{name} is not in the catalog any more"
            if not self.is_stored(name):
                if not dataset._EPHEMERAL and not self.catalog.exists(name):
                    return f"{name} is missing"
                continue
            digest = content_of(dataset, output["version"], self.store.memo).digest
            if digest is None:
                return f"{name} is missing"
            if digest != output["digest"]:
                return f"{name} was changed after it was saved"
        return ""


def producers_of(pipelines: Iterable[Pipeline]) -> dict[str, Node]:
    """Dataset -> the node that writes it."""
    return {_plain_name(name): node for pipeline in pipelines for node in pipeline.nodes for name in node.outputs}


def _plain_name(dataset: str) -> str:
    return dataset.partition("@")[0]  # Kedro's transcoding: one file under several types


def _without(parts: Parts, inputs: list[str]) -> Parts:
    return {**parts, "inputs": {k: v for k, v in parts["inputs"].items() if k not in inputs}}


def _join(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
