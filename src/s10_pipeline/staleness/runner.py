"""A sequential Kedro runner that writes run records and, on request, runs only missing or stale nodes."""

import logging
import shlex
import socket
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, ClassVar

import click
from kedro.io.core import generate_timestamp
from kedro.pipeline import Node, Pipeline
from kedro.runner import SequentialRunner, Task

from ..identity.affects import can_change
from ..identity.differences import flatten
from .commands.params import spell
from .contents import Content, content_of, link_version, versions_of
from .fingerprint import Rules
from .kedro_internals import bind_version, is_async, is_versioned, release_datasets, version_of
from .plan import RUNS, Plan
from .records import Record, RecordStore

log = logging.getLogger(__name__)


class StalenessRunner(SequentialRunner):
    """Kedro's sequential runner, extended by run records; ``--only-missing-outputs`` then also runs stale nodes.

    A project subclasses this runner with its own ``rules``, and has a dataset named ``records`` in its catalog. Without
    that dataset, the runner behaves like Kedro's own. If the records are not on a local disk, every stage runs and
    nothing is recorded.
    """

    rules: ClassVar[Rules]
    _only_stale = False

    def __str__(self) -> str:
        # Include the name of Kedro's runner, because kedro-viz shows a run's status only if it finds this name.
        return f"<{type(self).__name__}, a kedro.runner.sequential_runner.SequentialRunner object>"

    def run(self, pipeline: Pipeline, catalog: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        self._store: RecordStore | None = catalog["records"].load() if "records" in catalog else None
        if self._store is None:
            if "records" in catalog:
                log.warning("the catalog's records are not on a local disk: nothing is recorded, and every stage runs")
            else:
                log.warning("the catalog has no dataset records: nothing is recorded, so stale results go unnoticed")
        if "records" in catalog:
            # Do not pass --only-missing-outputs on to Kedro's runner. This runner decides during the run, node by node,
            # which nodes to skip.
            self._only_stale = kwargs.pop("only_missing_outputs", False)
        return super().run(pipeline, catalog, *args, **kwargs)

    def _run(self, pipeline: Pipeline, catalog: Any, hook_manager: Any = None, run_id: str | None = None) -> None:
        store = self._store
        run_id = run_id or generate_timestamp()
        if store is None:
            bind_versions(pipeline, catalog, run_id)
            return super()._run(pipeline, catalog, hook_manager, run_id)
        load_counts = Counter(name for node in pipeline.nodes for name in node.inputs)

        def execute(node: Node) -> None:
            Task(node, catalog, is_async(self), hook_manager, run_id).execute()
            logging.getLogger("kedro.runner").info("Completed node: %s", node.name)  # as Kedro's own runners do
            release_datasets(self, node, catalog, load_counts, pipeline)

        if self._only_stale:
            meaning = "--only-missing-outputs runs stages with missing or stale outputs (made from what has changed)"
            # Log this explanation only once per project: the cache remembers that it was logged.
            store.memo.get_or_compute("explained", meaning, lambda: log.info(meaning))
        with store.running(run_id, newest_version(pipeline, catalog)) as run_id:
            Run(self.rules, pipeline, catalog, store, run_id=run_id, execute=execute).go(self._only_stale)


def newest_version(pipeline: Pipeline, catalog: Any) -> str:
    """Return the latest version name among the stored outputs of a pipeline, or an empty text if none is stored."""
    return max((version for name in pipeline.all_outputs() for version in versions_of(catalog.get(name))), default="")


def bind_versions(pipeline: Pipeline, catalog: Any, run_id: str) -> None:
    """Make a run without records read its own outputs and, of other datasets, the versions that are the newest now."""
    outputs = pipeline.all_outputs()
    for name in pipeline.datasets():
        version = version_of(dataset := catalog.get(name))
        if version and not version.load:
            load = run_id if name in outputs else next(iter(versions_of(dataset)), None)
            bind_version(dataset, load, run_id)


class Run(Plan):
    """Takes the nodes of a pipeline one by one: decides whether to run the node, runs it and writes its run record.

    Args:
        plan: arguments of :class:`~.plan.Plan`.
        run_id: id of the run, and version of its outputs.
        execute: runs a node on the catalog and saves its outputs.
    """

    def __init__(self, *plan: Any, run_id: str, execute: Callable[[Node], None]) -> None:
        super().__init__(*plan)
        self._run_id, self._execute = run_id, execute
        self._num_ran = 0

    def go(self, only_stale: bool) -> None:
        """Run all nodes of the pipeline, or only those whose outputs are missing or stale."""
        self._pin_inputs()
        num_up_to_date = 0
        try:
            for node in self.pipeline.nodes:
                decision = self.decide(node) if only_stale else None
                if decision:
                    log.info("%s", decision)
                if decision is None or decision.state == RUNS:
                    self._run(node)
                elif decision.record:
                    num_up_to_date += 1
                    self._bring_forward(decision.record)
        except Exception:
            if self._num_ran:
                log.warning("finished nodes are recorded; --only-missing-outputs continues from there")
            raise
        log.info("%d of %d nodes ran, %d up to date", self._num_ran, len(self.pipeline.nodes), num_up_to_date)

    def _pin_inputs(self) -> None:
        """Pin the versions of the pipeline's inputs before the first node runs; warn if a pinned version is stale.

        Versions that other runs save later are then not read. An input is stale if the stages that made it, which are
        not in this pipeline, would make it again.
        """
        read = {name: self.content(name) for name in self.pipeline.inputs() if self.rules.is_input(name)}
        made_elsewhere = sorted(read.keys() & self.producers.keys())
        before = Pipeline(set(self.producers.values())).to_outputs(*made_elsewhere)
        plan = Plan(self.rules, before, self.catalog, self.store)
        # Clear the versions chosen by --load-versions from this plan, so that they too are checked for staleness.
        plan.chosen.clear()
        plan.go_by_stored((name, read[name].version) for name in made_elsewhere)
        others = self._other_parameters(plan)
        again = self._command(others)
        if others:
            names = ", ".join(made_elsewhere)
            log.info("%s: made with other parameters than this run uses; to use the recorded ones: %s", names, again)
        for decision in plan.decisions():
            outputs = sorted(set(made_elsewhere).intersection(decision.node.outputs))
            if stale := ", ".join(name for name in outputs if plan.known[name].digest != read[name].digest):
                why = decision.why or "the version that fits is not the newest"
                log.warning("%s: stale output of stage %s (%s); to renew it: %s", stale, decision.node.name, why, again)

    def _command(self, others: dict[str, Any]) -> str:
        """Return this call's command line for the whole pipeline, with ``others`` instead of this call's parameters."""
        given = getattr(click.get_current_context(silent=True), "params", {})
        names = flatten(given["params"]) if given.get("params") else ()
        values = {name: self.catalog.get(f"params:{name}").load() for name in names} | others
        options = {"--env": given.get("env"), "--conf-source": given.get("conf_source")}
        places = [f"{option}={shlex.quote(place)}" for option, place in options.items() if place]
        return " ".join(["kedro run", *places, "--only-missing-outputs", *([spell(values)] if values else [])])

    def _other_parameters(self, plan: Plan) -> dict[str, Any]:
        """Return the parameters that made the stored inputs, if different from this run's: name -> recorded value."""
        others: dict[str, Any] = {}
        for node in plan.pipeline.nodes:
            now, stored = self.fingerprints.parameters(node, self.catalog), plan.stored.get(node.name, {})
            differing = {name for name in now.keys() & stored.keys() if now[name] != stored[name]}
            others |= {n: stored[n] for n in sorted(differing) if can_change(self.rules.parameters, n, node.name)}
        return others

    def _run(self, node: Node) -> None:
        inputs = self.inputs(node)
        read = {name: content.version for name, content in inputs.items()}
        for name, version in (read | dict.fromkeys(node.outputs, self._run_id)).items():
            if is_versioned(dataset := self.catalog.get(name)):
                bind_version(dataset, version, self._run_id)
        parts = self.fingerprints.parts(node, self.catalog, inputs)
        parameters = self.fingerprints.parameters(node, self.catalog)
        started = datetime.now(UTC)
        self._execute(node)
        self._num_ran += 1
        about = {
            "started": started.isoformat(timespec="seconds"),
            "seconds": round((datetime.now(UTC) - started).total_seconds(), 3),
            "host": socket.gethostname(),
            "parameters": parameters,
            **self.rules.describe(parameters),
        }
        outputs = {name: self._saved(node, name)._asdict() for name in node.outputs}
        record = Record(node.name, self._run_id, parts, read, outputs, about)
        self.know(node, parts, record)
        if self.fingerprints.code(node.func) != self.fingerprints.code_now(node.func):
            log.warning("%s: the code of this stage was edited during the run, so it will run again", node.name)
        else:
            self.store.add(record)

    def _saved(self, node: Node, name: str) -> Content:
        """Return version and digest of a saved output; replace its file by a hard link to an equal earlier version."""
        dataset, memo = self.catalog.get(name), self.store.memo
        saved = content_of(dataset, self._run_id if is_versioned(dataset) else None, memo)
        earlier = [record.outputs[name] for record in self.store.of(node.name) if name in record.outputs]
        equal = [old["version"] for old in earlier if old["version"] and old["digest"] == saved.digest]
        # Replace the saved file by a hard link to the earlier version only if that still has its recorded content.
        if saved.digest and equal and content_of(dataset, equal[0], memo).digest == saved.digest:
            link_version(dataset, equal[0], self._run_id)
        return saved

    def _bring_forward(self, record: Record) -> None:
        """Make the results of an up-to-date node the newest versions again, by hard links, if newer versions exist.

        Newer versions exist after parameters were set back to earlier values. Kedro, kedro-viz and later runs load
        the newest version by default.
        """
        old = {name: str(o["version"]) for name, o in record.outputs.items() if is_versioned(self.catalog.get(name))}
        newest = {name: versions_of(self.catalog.get(name))[0] for name in old}
        if newest == old or old.keys() & self.chosen or max(newest.values()) > self._run_id:
            return
        if all(link_version(self.catalog.get(name), version, self._run_id) for name, version in old.items()):
            outputs = {n: {**o, "version": self._run_id if n in old else None} for n, o in record.outputs.items()}
            self.store.add(replace(record, run=self._run_id, outputs=outputs, same_as=record.same_as or record.run))
            log.info("%s: results of run %s are the newest again, as version %s", record.node, record.run, self._run_id)
