"""One run of a pipeline: nodes are decided, run and recorded one by one."""

import logging
import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from kedro.io.core import Version
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from .contents import Content, chosen_version, content_of, is_versioned, link_version, versions_of
from .plan import ON_DEMAND, RUNS, Plan
from .records import Parts, Record

log = logging.getLogger(__name__)


class Run(Plan):
    """A plan that is carried out.

    Args:
        plan: what a plan is made of.
        run_id: also the version of what is saved.
        execute: runs a node on the catalog and saves its outputs.
    """

    def __init__(self, *plan: Any, run_id: str, execute: Callable[[Node], None]) -> None:
        super().__init__(*plan)
        self._run_id, self._execute = run_id, execute
        chosen = [name for name in self.pipeline.datasets() if chosen_version(self.catalog.get(name))]
        self._chosen = {name: self.content(name) for name in chosen}  # by the user, with --load-versions
        self._done: set[Node] = set()

    def go(self, only_stale: bool) -> None:
        """Run every node, or those that are missing or stale."""
        self._fix_inputs()
        num_up_to_date = 0
        try:
            for node in self.pipeline.nodes:
                decision = self.decide(node) if only_stale else None
                if decision and decision.state != ON_DEMAND:
                    log.info("%s", decision)
                if decision is None or decision.state == RUNS:
                    self._run(node)
                else:
                    num_up_to_date += decision.record is not None
                    self.know(node, decision.parts, decision.record and self._bring_forward(decision.record))
        except Exception:
            if self._done:
                log.warning("what is finished is recorded: --only-missing-outputs goes on from there")
            raise
        finally:
            self.store.memo.save()
        log.info("%d of %d nodes ran, %d up to date", len(self._done), len(self.pipeline.nodes), num_up_to_date)

    def know(self, node: Node, parts: Parts, record: Record | None) -> None:
        super().know(node, parts, record)
        self.known |= self._chosen

    def _fix_inputs(self) -> None:
        """Decide what is read now, so that a run beside this one cannot slip in anything; warn of what is stale.

        Stale is what the stages before this part of a pipeline would make anew.
        """
        read = {name: self.content(name) for name in self.pipeline.inputs() if self.is_input(name)}
        made_elsewhere = read.keys() & self.producers.keys()
        before = Pipeline(set(self.producers.values())).to_outputs(*made_elsewhere)
        plan = Plan(self.rules, before, self.catalog, self.store)
        for decision in plan.decisions() if made_elsewhere else ():
            node, outputs = decision.node, sorted(made_elsewhere.intersection(decision.node.outputs))
            stale = ", ".join(name for name in outputs if plan.known[name].digest != read[name].digest)
            if stale and not self.store.of(node.name):
                log.warning("%s: nobody recorded what made it, so it may be stale", stale)
            elif stale:
                why = decision.why or "another version is the newest, the one that fits is older"
                remedy = "kedro run --only-missing-outputs renews it"
                log.warning("%s: stale, %s: %s; %s", stale, node.name, why, remedy)

    def _pin(self, name: str, version: str | None) -> None:
        dataset = self.catalog.get(name)
        if is_versioned(dataset) and name not in self._chosen:
            dataset._version = Version(version, self._run_id)
            dataset._clear_version_cache()

    def _run(self, node: Node) -> None:
        for maker in self.pipeline.nodes:
            in_memory = [n for n in maker.outputs if n in node.inputs and not self.is_stored(n)]
            if in_memory and maker not in self._done:
                log.info("%s: %s, %s needs %s, which is in memory alone", maker.name, RUNS, node.name, in_memory[0])
                self._run(maker)
        inputs = self.inputs(node)
        for name, content in inputs.items():
            self._pin(name, content.version)
        for name in node.outputs:
            self._pin(name, self._run_id)
        parts = self.fingerprints.parts(node, self.catalog, inputs)
        parameters = self.fingerprints.parameters(node, self.catalog)
        started, clock = datetime.now(UTC), time.perf_counter()
        self._execute(node)
        self._done.add(node)
        about = {
            "started": started.isoformat(timespec="seconds"),
            "seconds": round(time.perf_counter() - clock, 3),
            "host": socket.gethostname(),
            "parameters": parameters,
            **self.rules.describe(parameters),
        }
        read = {name: content.version for name, content in inputs.items()}
        outputs = {name: self._saved(node, name)._asdict() for name in node.outputs}
        record = Record(node.name, self._run_id, parts, read, outputs, about)
        self.know(node, parts, record)
        if self.fingerprints.code(node.func) != self.fingerprints.code_now(node.func):
            log.warning("%s: its code was edited while the run went on; not recorded, so it will run again", node.name)
        else:
            self.store.add(record)

    def _saved(self, node: Node, name: str) -> Content:
        """What a node saved; contents that an earlier version has too become one file on the disk."""
        dataset, memo = self.catalog.get(name), self.store.memo
        saved = Content(None, None)
        if self.is_stored(name):
            saved = content_of(dataset, self._run_id if is_versioned(dataset) else None, memo)
        for record in self.store.of(node.name) if saved.version and saved.digest else ():
            old = record.outputs.get(name, {})
            # as it was recorded, unless somebody edited it since
            if old.get("digest") == saved.digest == content_of(dataset, old["version"], memo).digest:
                link_version(dataset, str(old["version"]), self._run_id)
                break
        return saved

    def _bring_forward(self, record: Record) -> Record:
        """Make results that are not the newest versions (parameters went back) the newest, as links.

        Kedro's default, kedro-viz and the next slice read the newest.
        """
        versioned = {name: dataset for name in record.outputs if is_versioned(dataset := self.catalog.get(name))}
        newest = {name: versions_of(dataset)[0] for name, dataset in versioned.items()}
        old = {name: record.outputs[name]["version"] for name in versioned}
        if newest == old or versioned.keys() & self._chosen.keys() or max(newest.values()) > self._run_id:
            return record
        linked = [link_version(dataset, str(old[name]), self._run_id) for name, dataset in versioned.items()]
        later = record.as_made_by(self._run_id)
        if not all(linked) or not self.store.add(later):
            return record
        log.info("%s: the results of %s are the newest again, as %s", record.node, record.run, self._run_id)
        return later
