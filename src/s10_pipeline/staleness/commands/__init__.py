"""Commands that write or read run records: ``kedro run``, ``stages``, ``lineage`` and ``prune``."""

import click

from ..fingerprint import Rules
from .lineage import lineage
from .options import run_command
from .prune import prune_command
from .stages import stages_command


def build_commands(rules: Rules, runner: str) -> list[click.Command]:
    """Build a Kedro project's commands ``kedro run``, ``stages``, ``lineage`` and ``prune``.

    Args:
        rules: the project's rules for what can change results.
        runner: importable name of the project's :class:`~..runner.StalenessRunner`, the default of ``kedro run``.
    """
    return [run_command(runner, rules.parameters), stages_command(rules), lineage, prune_command(rules)]
