"""Add the hook ``on_epoch`` to Kedro's own: it is called with the losses, accuracies and times of each epoch."""

import copy
import logging
from typing import Any

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl

from .staleness.kedro_internals import hook_manager_of
from .vision.errors import one_line

log = logging.getLogger(__name__)


class EpochHooks:
    """Calls ``on_epoch(row)`` of each class in ``HOOKS`` of ``settings.py`` and of each plug-in that has such a method.

    The method is marked with Kedro's ``hook_impl``. ``row`` has the columns of ``training_history`` and
    ``training_timing``; ``epoch`` counts from 1. A resumed training sends only the epochs that it trains itself.
    """

    _manager: Any = None  # stays None in worker processes of Kedro's ParallelRunner, which create no context

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        self._manager = hook_manager_of(context)

    @hook_impl
    def before_node_run(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Give the training node a checkpoint store that calls :meth:`_call` after each stored epoch."""
        if not hasattr(getattr(self._manager, "hook", None), "on_epoch") or "checkpoints" not in inputs:
            return {}
        store = copy.copy(inputs["checkpoints"])
        store.on_epoch = self._call
        return {"checkpoints": store}

    def _call(self, row: dict[str, Any]) -> None:
        """Call the hooks in pluggy's order, the last registered first; log an error in a hook as a warning."""
        for hook in reversed(self._manager.hook.on_epoch.get_hookimpls()):
            try:
                hook.function(row=dict(row))
            except Exception as error:  # hours of training must not be lost because a logging server is down
                name = f"{hook.function.__module__}.{hook.function.__qualname__}"
                what = f"{type(error).__name__}: {one_line(error)}"
                log.warning("%s failed in epoch %d (%s); training continues", name, row["epoch"], what)
