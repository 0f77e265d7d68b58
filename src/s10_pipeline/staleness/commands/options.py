"""Options that several commands share, and functions that open the project for them."""

import copy
from collections.abc import Callable
from typing import Any

import click
from kedro.framework.cli.project import run as kedro_run
from kedro.framework.context import KedroContext
from kedro.io.core import is_parameter

from ..records import RecordStore
from .params import Params


def run_command(runner: str, parameters: Any = None) -> click.Command:
    """Return Kedro's ``run`` command with another default runner and with the typed ``--params`` of :class:`Params`."""
    command, options = copy.copy(kedro_run), {str(p.name): copy.copy(p) for p in kedro_run.params}
    options["runner"].default = runner
    options["config"].is_eager = True  # read the file of --config first, because --params adds to its parameters
    command.params = [*(options | {"params": Params(parameters)}).values()]
    return command


def in_environment(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options ``--env`` and ``--conf-source`` to a command; both work as in ``kedro run``."""
    command = click.option("--env", "-e", help="Environment whose data to use; base if not given.")(command)
    return click.option("--conf-source", help="Folder or archive of the configuration; conf/ if not given.")(command)


def open_context(env: str | None, conf_source: str | None, params: dict[str, Any] | None = None) -> KedroContext:
    """Return the Kedro context (configuration and catalog) of this project, as ``kedro run`` would load it."""
    from kedro.framework.session import KedroSession

    return KedroSession.create(env=env, conf_source=conf_source, runtime_params=params).load_context()


def open_records(catalog: Any) -> RecordStore:
    """Load the store of run records from the dataset ``records`` of a catalog.

    Raises:
        ClickException: the folder of records is on a remote file system, which is not supported.
    """
    store: RecordStore | None = catalog.load("records")
    if store is None:
        raise click.ClickException("records: run records need a local disk; give them a local filepath in the catalog")
    return store


def datasets_of(catalog: Any) -> dict[str, Any]:
    """Return the catalog's datasets by name, without parameters."""
    return {name: catalog[name] for name in catalog if not is_parameter(name)}
