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
from .run import Run

log = logging.getLogger(__name__)

Catalog = CatalogProtocol[Any, Any]


class CachingRunner(SequentialRunner):
    """Kedro's sequential runner with records; ``--only-missing-outputs`` then means missing *or stale*.

    A project subclasses it with its own ``rules``, and has a dataset called ``records`` in its catalog. Without one, or
    where that is not on a local disk, it does what Kedro's own runner does.
    """

    rules: ClassVar[Rules]
    _only_stale = False

    def __str__(self) -> str:
        # kedro-viz shows the status of a run only where it finds this text
        return f"<{type(self).__name__}, a kedro.runner.sequential_runner.SequentialRunner object>"

    def run(self, *args: Any, only_missing_outputs: bool = False, **kwargs: Any) -> dict[str, Any]:
        self._only_stale = only_missing_outputs  # nodes are decided as the run goes
        return super().run(*args, **kwargs)

    def _run(self, pipeline: Pipeline, catalog: Catalog, hook_manager: Any = None, run_id: str | None = None) -> None:
        records = catalog.get("records") if "records" in catalog else None
        store = records.load() if records is not None else None
        if store is None:
            log.warning("no folder for records on a local disk: nothing is recorded, and staleness is not noticed")
            if self._only_stale:
                pipeline = self._filter_pipeline_for_missing_outputs(pipeline, catalog)
            super()._run(pipeline, catalog, hook_manager, run_id)
            return
        run_id = run_id or generate_timestamp()
        load_counts = Counter(chain.from_iterable(node.inputs for node in pipeline.nodes))

        def execute(node: Node) -> None:
            Task(node, catalog, self._is_async, hook_manager, run_id).execute()
            log.info("Completed node: %s", node.name)
            self._release_datasets(node, catalog, load_counts, pipeline)

        if self._only_stale:
            meaning = "--only-missing-outputs: runs what is missing or stale, that is, made from what has changed"
            store.memo.recall("explained", meaning, lambda: log.info(meaning))  # once
        with store.running(run_id):
            Run(self.rules, pipeline, catalog, store, run_id=run_id, execute=execute).go(self._only_stale)
