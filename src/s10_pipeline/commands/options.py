"""Options that several commands share, and how a command opens the project."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from kedro.framework.context import KedroContext

    from ..caching.records import RecordStore


def _merge_params(ctx: click.Context, param: click.Parameter, values: tuple[Any, ...]) -> dict[str, Any]:
    """Several ``--params`` add up (Kedro alone takes the last); the last one wins where they name the same key."""
    from kedro.framework.cli.utils import _split_params
    from omegaconf import OmegaConf

    merged = OmegaConf.merge(*[_split_params(ctx, param, value) for value in values]) if values else OmegaConf.create()
    container = OmegaConf.to_container(merged)
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items()}


class Params(click.Option):
    """``--params``, which may be repeated."""

    def __init__(self) -> None:
        help_text = "Parameters as KEY=VALUE,KEY=VALUE; may be repeated. Lists go into a file, see --config."
        super().__init__(["--params"], type=click.UNPROCESSED, multiple=True, callback=_merge_params, help=help_text)

    def type_cast_value(self, ctx: click.Context, value: Any) -> Any:
        # --config hands over a dictionary that was read from YAML
        return (value,) if isinstance(value, dict) else super().type_cast_value(ctx, value)


def in_environment(command: Callable[..., None]) -> Callable[..., None]:
    """``--env`` and ``--conf-source``, as of ``kedro run``."""
    command = click.option("--env", "-e", help="The environment whose data are meant; base if not given.")(command)
    return click.option("--conf-source", help="Folder or archive of the configuration, if not conf/ here.")(command)


def open_context(env: str | None, conf_source: str | None, params: dict[str, Any] | None = None) -> "KedroContext":
    """The project as ``kedro run`` sees it."""
    from kedro.framework.session import KedroSession

    session = KedroSession.create(env=env, conf_source=conf_source, runtime_params=params)
    context: KedroContext = session.load_context()
    return context


def open_records(catalog: Any) -> "RecordStore":
    """The records of an environment.

    Raises:
        UserError: there can be none, since its data lie on a remote file system.
    """
    from ..vision.errors import UserError

    store: RecordStore | None = catalog.load("records")
    if store is None:
        raise UserError("records: kept on local disks only; set S10_DATA_ROOT to a local folder")
    return store
