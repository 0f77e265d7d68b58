"""The hook ``on_epoch``, in addition to Kedro's own: called with the figures of each epoch of a training."""

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

    _manager: Any = None  # in the worker processes of Kedro's ParallelRunner no context is created

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        self._manager = hook_manager_of(context)

    @hook_impl
    def before_node_run(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Hand the training node checkpoints that report each stored epoch to :meth:`_call`."""
        if not hasattr(getattr(self._manager, "hook", None), "on_epoch") or "checkpoints" not in inputs:
            return {}
        store = copy.copy(inputs["checkpoints"])
        store.on_epoch = self._call
        return {"checkpoints": store}

    def _call(self, row: dict[str, Any]) -> None:
        """Call the hooks in pluggy's order, the last registered first; an error in one becomes a warning."""
        for hook in reversed(self._manager.hook.on_epoch.get_hookimpls()):
            try:
                hook.function(row=dict(row))
            except Exception as error:  # hours of training must not end because a server of logs is down
                name = f"{hook.function.__module__}.{hook.function.__qualname__}"
                what = f"{type(error).__name__}: {one_line(error)}"
                log.warning("%s failed in epoch %d (%s); training goes on without it", name, row["epoch"], what)
