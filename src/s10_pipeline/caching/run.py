"""One run of a pipeline: nodes are decided, run and recorded one by one."""

import logging
import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kedro.framework.project import pipelines as registered_pipelines
from kedro.io import CatalogProtocol
from kedro.io.core import Version
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from .contents import chosen_version, content_of, is_versioned, path_of, store_once, versions_of
from .fingerprint import Rules, fingerprint_of, is_parameter
from .git import describe_git
from .planner import ON_DEMAND, RUNS, Decision, Planner, producers_of
from .records import Record, RecordStore, keep

log = logging.getLogger(__name__)


class Run:
    """One run of a pipeline.

    Attributes:
        done: nodes that ran.
    """

    def __init__(
        self,
        rules: Rules,
        pipeline: Pipeline,
        catalog: CatalogProtocol[Any, Any],
        store: RecordStore,
        run_id: str,
        only_stale: bool,
    ) -> None:
        self._rules, self._pipeline, self._catalog, self._store = rules, pipeline, catalog, store
        self._run_id, self._only_stale = run_id, only_stale
        self._producers = producers_of([*dict(registered_pipelines).values(), pipeline])
        self._planner = Planner(pipeline, catalog, rules, store, self._producers)
        self._by_name = {output: node for node in pipeline.nodes for output in node.outputs}
        self._chosen: set[str] = set()  # datasets whose version the user chose by --load-versions
        self.done: set[Node] = set()

    def go(self, execute: Callable[[Node], None], release: Callable[[Node], None]) -> None:
        """Run what has to run.

        Args:
            execute: runs a node on the catalog and saves its outputs.
            release: called after it, when its inputs may be forgotten.
        """
        self._execute_node, self._release = execute, release
        self._pin_inputs()
        num_up_to_date = 0
        for node in self._pipeline.nodes:
            decision = self._planner.decide(node) if self._only_stale else None
            if decision and decision.state != ON_DEMAND:
                log.info("%s", decision)
            if decision is None or decision.state == RUNS:
                self._execute(node)
            elif decision.record:
                num_up_to_date += 1
                self._know(node, self._bring_forward(node, decision.record))
            else:
                self._planner.know_unstored(node, decision.parts)
        log.info("%d of %d nodes ran, %d up to date", len(self.done), len(self._pipeline.nodes), num_up_to_date)

    def _pin_inputs(self) -> None:
        """Fix what is read now, so that a run beside this one cannot slip in anything; warn of what is stale."""
        datasets = {name: self._catalog.get(name) for name in self._pipeline.datasets()}
        self._chosen = {name for name, dataset in datasets.items() if is_versioned(dataset) and chosen_version(dataset)}
        free = {n for n in self._pipeline.inputs() if not is_parameter(n) and n not in self._rules.harmless_inputs}
        for name in free | self._chosen:
            self._pin(name, self._planner.content(name).version)
        if made_elsewhere := free & set(self._producers):
            self._warn_of_stale(made_elsewhere)

    def _execute(self, node: Node) -> None:
        for name in node.inputs:
            producer = self._by_name.get(name)
            if producer and producer not in self.done and getattr(self._catalog.get(name), "_EPHEMERAL", False):
                log.info("%s: %s, %s needs %s, which is in memory alone", producer.name, RUNS, node.name, name)
                self._execute(producer)
        for name in node.outputs:
            self._pin(name, self._run_id)
        fingerprints, inputs = self._planner.fingerprints, self._planner.inputs(node)
        parts = fingerprints.parts(node, self._catalog, inputs)
        parameters = fingerprints.parameters(node, self._catalog)
        started, clock = datetime.now(UTC), time.perf_counter()
        self._execute_node(node)
        about = {
            "started": started.isoformat(timespec="seconds"),
            "seconds": round(time.perf_counter() - clock, 3),
            "host": socket.gethostname(),
            "device": self._rules.describe_device(parameters),
            "git": describe_git(self._rules.package),
            "parameters": parameters,
        }
        self.done.add(node)
        read = {name: content.version for name, content in inputs.items()}
        outputs = self._stored_outputs(node)
        record = Record(node.name, self._run_id, fingerprint_of(parts), parts, read, outputs, about)
        self._know(node, record)
        if fingerprints.code_changed(node):
            log.warning("%s: its code was edited while the run went on; not recorded, so it will run again", node.name)
        else:
            keep(lambda: self._store.add(record, fingerprints.pieces(node)))
        self._release(node)

    def _stored_outputs(self, node: Node) -> dict[str, dict[str, str | None]]:
        """Version and digest of what a node saved; equal contents become one file on the disk."""
        outputs: dict[str, dict[str, str | None]] = {}
        for name in node.outputs:
            dataset = self._catalog.get(name)
            version = self._run_id if is_versioned(dataset) else None
            digest = None
            if dataset is not None and self._planner.is_stored(name):
                digest = content_of(dataset, version, self._store.memo).digest
                for record in self._store.of(node.name) if version else ():
                    old = record.outputs.get(name, {})
                    if digest and old.get("digest") == digest and self._same_file(name, old.get("version"), digest):
                        break
            outputs[name] = {"version": version, "digest": digest}
        return outputs

    def _same_file(self, name: str, old: str | None, digest: str) -> bool:
        dataset = self._catalog.get(name)
        if dataset is None or getattr(dataset, "_protocol", "file") != "file" or old in (None, self._run_id):
            return False
        paths = path_of(dataset, self._run_id), path_of(dataset, old)
        if not all(path and Path(path).is_file() for path in paths):
            return False
        same = content_of(dataset, old, self._store.memo).digest == digest
        return same and store_once(str(paths[0]), str(paths[1]))

    def _bring_forward(self, node: Node, record: Record) -> Record:
        """Make results that are not the newest versions (parameters went back) the newest, as links.

        Kedro's default, kedro-viz and the next slice read the newest.
        """
        datasets = {name: self._catalog.get(name) for name in record.outputs}
        versioned = {name: dataset for name, dataset in datasets.items() if is_versioned(dataset)}
        newest = {name: versions_of(dataset)[0] for name, dataset in versioned.items() if dataset is not None}
        if all(newest[name] == record.outputs[name]["version"] for name in versioned):
            return record
        local = all(getattr(dataset, "_protocol", "file") == "file" for dataset in versioned.values())
        if not local or set(versioned) & self._chosen or max(newest.values()) > self._run_id:
            return record
        for name, dataset in versioned.items():
            assert dataset is not None
            old, new = path_of(dataset, record.outputs[name]["version"]), path_of(dataset, self._run_id)
            if not store_once(str(new), str(old)):
                return record
        try:
            later = self._store.take_over(record, self._run_id)
        except OSError:
            return record
        log.info("%s: the results of %s are the newest again, as %s", node.name, record.run, self._run_id)
        return later

    def _know(self, node: Node, record: Record) -> None:
        """What comes after this node reads these versions of its outputs, unless the user chose others."""
        chosen = {name: self._planner.content(name) for name in self._chosen & set(node.outputs)}
        self._planner.take(node, record)
        self._planner.known |= chosen
        for name, output in record.outputs.items():
            self._pin(name, output["version"])

    def _pin(self, name: str, version: str | None) -> None:
        dataset = self._catalog.get(name)
        if is_versioned(dataset) and dataset is not None:
            load = chosen_version(dataset) if name in self._chosen else version
            dataset._version = Version(load, self._run_id)
            dataset._clear_version_cache()

    def _warn_of_stale(self, names: set[str]) -> None:
        """Of what this part of a pipeline reads, say what the stages before it would make anew."""
        before = Pipeline(set(self._producers.values())).to_outputs(*names)
        planner = Planner(before, self._catalog, self._rules, self._store, self._producers)
        for decision in planner.plan():
            stale = sorted(n for n in names & set(decision.node.outputs) if self._is_stale(n, planner, decision))
            if stale:
                if not self._store.of(decision.node.name):
                    log.warning("%s: nobody recorded what made it, so it may be stale", ", ".join(stale))
                    continue
                why = decision.why or "another version is the newest, the one that fits is older"
                log.warning(
                    "%s: stale, %s: %s; kedro run --only-missing-outputs renews it",
                    ", ".join(stale), decision.node.name, why,
                )  # fmt: skip

    def _is_stale(self, name: str, planner: Planner, decision: Decision) -> bool:
        return planner.known[name].pending is not None or planner.known[name].digest != self._planner.known[name].digest
