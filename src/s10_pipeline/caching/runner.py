"""A sequential runner that records what made each result, and on request runs only what is missing or stale."""

import logging
from collections import Counter
from itertools import chain
from typing import Any, ClassVar

from kedro.io import CatalogProtocol
from kedro.io.core import generate_timestamp
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node
from kedro.runner import SequentialRunner
from kedro.runner.task import Task

from .fingerprint import Rules
from .records import keep
from .run import Run

log = logging.getLogger(__name__)


class CachingRunner(SequentialRunner):
    """Kedro's sequential runner with records; ``--only-missing-outputs`` then means missing *or stale*.

    A project subclasses it with its own ``rules``, and has a dataset called ``records`` in its catalog. Without one, or
    where that is not on a local disk, it does what Kedro's own runner does.
    """

    rules: ClassVar[Rules]
    _going: Run | None = None

    def __str__(self) -> str:
        # kedro-viz shows the status of a run only where it finds this text
        return f"<{type(self).__name__}, a kedro.runner.sequential_runner.SequentialRunner object>"

    def run(
        self,
        pipeline: Pipeline,
        catalog: CatalogProtocol[Any, Any],
        hook_manager: Any = None,
        run_id: str | None = None,
        only_missing_outputs: bool = False,
    ) -> dict[str, Any]:
        records = catalog.get("records") if "records" in catalog else None
        store = records.load() if records is not None else None
        if store is None:
            log.warning("no folder for records on a local disk: nothing is recorded, and staleness is not noticed")
            return super().run(pipeline, catalog, hook_manager, run_id, only_missing_outputs)
        run_id = run_id or generate_timestamp()
        if only_missing_outputs and store.first_time("only-missing-outputs"):
            log.info(
                "--only-missing-outputs: runs what is missing or stale, that is, made from anything that has changed"
            )
        with store.running(run_id):
            self._going = Run(self.rules, pipeline, catalog, store, run_id, only_missing_outputs)
            try:
                return super().run(pipeline, catalog, hook_manager, run_id)
            finally:
                self._going = None
                keep(store.memo.save)

    def _run(
        self,
        pipeline: Pipeline,
        catalog: CatalogProtocol[Any, Any],
        hook_manager: Any = None,
        run_id: str | None = None,
    ) -> None:
        if self._going is None:
            super()._run(pipeline, catalog, hook_manager, run_id)
            return
        load_counts = Counter(chain.from_iterable(node.inputs for node in pipeline.nodes))

        def execute(node: Node) -> None:
            Task(node, catalog, self._is_async, hook_manager, run_id).execute()
            log.info("Completed node: %s", node.name)

        try:
            self._going.go(execute, lambda node: self._release_datasets(node, catalog, load_counts, pipeline))
        except Exception:
            if self._going.done:
                log.warning(
                    "what is finished is recorded: --only-missing-outputs added to the command goes on from there"
                )
            raise
