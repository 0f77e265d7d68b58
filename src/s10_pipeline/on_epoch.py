"""Call hooks named ``on_epoch`` after each epoch of a training, with the epoch's losses, accuracies and times."""

import copy
import logging
from typing import Any

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl

from .staleness.kedro_internals import hook_manager_of
from .vision.errors import one_line

log = logging.getLogger(__name__)


class EpochHooks:
    """Calls the method ``on_epoch(row)`` of hook classes: those in ``HOOKS`` (``settings.py``) and those of plug-ins.

    The method is marked with Kedro's ``hook_impl``. ``row`` has the columns of ``training_history`` and
    ``training_timing``; ``epoch`` counts from 1. A resumed training sends only the epochs that it trains itself.
    """

    # Kedro's hook manager. In worker processes of Kedro's ParallelRunner it stays None, and no hooks are called.
    _manager: Any = None

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        self._manager = hook_manager_of(context)

    @hook_impl
    def before_node_run(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Replace the checkpoint store of the training node by one that calls the hooks after each stored epoch."""
        if not hasattr(getattr(self._manager, "hook", None), "on_epoch") or "checkpoints" not in inputs:
            return {}
        store = copy.copy(inputs["checkpoints"])
        store.on_epoch = self._call
        return {"checkpoints": store}

    def _call(self, row: dict[str, Any]) -> None:
        """Call all ``on_epoch`` hooks, the last registered first as pluggy does; only log a warning if a hook fails."""
        for hook in reversed(self._manager.hook.on_epoch.get_hookimpls()):
            try:
                hook.function(row=dict(row))
            except Exception as error:  # only warn: an unreachable logging server must not end hours of training
                name = f"{hook.function.__module__}.{hook.function.__qualname__}"
                what = f"{type(error).__name__}: {one_line(error)}"
                log.warning("hook %s failed in epoch %d (%s); training continues", name, row["epoch"], what)
