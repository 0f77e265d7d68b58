"""How configuration files are read, for Kedro's settings and for looking into other environments."""

import os
from typing import Any


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
