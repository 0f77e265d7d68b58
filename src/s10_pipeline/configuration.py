"""Kedro's configuration loader, with resolvers that insert environment variables into YAML files."""

import os
from glob import glob
from pathlib import Path
from typing import Any

from fsspec.implementations.local import LocalFileSystem
from kedro.config import OmegaConfigLoader


def folder_from_environment(name: str, default: str) -> str:
    """Return the folder that an environment variable names, or ``default`` if it is unset or empty.

    ``~`` is expanded. The path is relative to the working directory, as paths in parameters are, whereas Kedro would
    make it relative to the project. Of ``file://PATH``, the path is used; another URL is returned unchanged.
    """
    folder = os.environ.get(name, "").removeprefix("file://")
    if not folder:
        return default
    return folder if "://" in folder else os.path.abspath(os.path.expanduser(folder))


def local_folder_from_environment(name: str, default: str) -> str:
    """Return the folder that an environment variable names, or ``default`` if the variable holds a URL.

    It serves downloads, locks and checkpoints, which need a local disk.
    """
    folder = folder_from_environment(name, default)
    return default if "://" in folder else folder


CONFIG_LOADER_ARGS: dict[str, Any] = {
    "base_env": "base",
    "default_run_env": "base",
    # "soft": the file of a Kedro environment replaces single values of conf/base, not whole groups.
    "merge_strategy": {"parameters": "soft", "catalog": "soft", "globals": "soft"},
    # In a YAML file, ${env:NAME, default} is the folder that the environment variable NAME holds, else the default.
    # ${local:NAME, default} does the same, but also gives the default if the variable holds a URL.
    "custom_resolvers": {"env": folder_from_environment, "local": local_folder_from_environment},
}


class LiteralFileSystem(LocalFileSystem):
    """Local file system whose ``glob`` takes ``[`` and ``*`` in the names of existing folders literally."""

    def glob(self, path: str, **_: Any) -> list[str]:
        folder = next(parent for parent in Path(path).parents if parent.is_dir())
        return [str(folder / name) for name in glob(os.path.relpath(path, folder), root_dir=folder, recursive=True)]


class ConfigLoader(OmegaConfigLoader):
    """Kedro's configuration loader, which also works if the project's path contains ``[`` or ``*``."""

    def _initialise_filesystem_and_protocol(self, conf_source: str) -> tuple[Any, str]:  # type: ignore[override]
        files, protocol = super()._initialise_filesystem_and_protocol(conf_source)
        return LiteralFileSystem() if protocol == "file" else files, protocol
