"""How configuration files are read, for Kedro's settings and for looking into other environments."""

import os
from glob import glob
from pathlib import Path
from typing import Any

from fsspec.implementations.local import LocalFileSystem
from kedro.config import OmegaConfigLoader


def folder_from_environment(name: str, default: str) -> str:
    """The folder that an environment variable names, with ``~`` expanded, relative to the working directory.

    Kedro would take it as relative to the project, while paths among the parameters are not. ``default`` where the
    variable is unset or empty; an address such as ``s3://bucket`` stays as it is.
    """
    folder = os.environ.get(name)
    if not folder:
        return default
    return folder if "://" in folder else os.path.abspath(os.path.expanduser(folder))


def local_folder_from_environment(name: str, default: str) -> str:
    """The same, but ``default`` for an address: downloads, locks and checkpoints need a local disk."""
    folder = folder_from_environment(name, default)
    return default if "://" in folder else folder


# An environment's file replaces single values, not whole groups; ${env:NAME, default} reads an environment variable.
CONFIG_LOADER_ARGS: dict[str, Any] = {
    "base_env": "base",
    "default_run_env": "base",
    "merge_strategy": {"parameters": "soft", "catalog": "soft", "globals": "soft"},
    "custom_resolvers": {"env": folder_from_environment, "local": local_folder_from_environment},
}


class LiteralFileSystem(LocalFileSystem):
    """The local file system; a pattern begins behind the last existing folder, whose path may hold ``[`` or ``*``."""

    def glob(self, path: str, **_: Any) -> list[str]:
        folder = next(parent for parent in Path(path).parents if parent.is_dir())
        return [str(folder / name) for name in glob(os.path.relpath(path, folder), root_dir=folder, recursive=True)]


class ConfigLoader(OmegaConfigLoader):
    """Kedro's loader, which finds the files of a checkout in any folder."""

    def _initialise_filesystem_and_protocol(self, conf_source: str) -> tuple[Any, str]:  # type: ignore[override]
        files, protocol = super()._initialise_filesystem_and_protocol(conf_source)
        return LiteralFileSystem() if protocol == "file" else files, protocol
