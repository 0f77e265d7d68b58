"""Settings that Kedro looks for: https://docs.kedro.org/en/stable/configure/configuration_basics/."""

from .configuration import CONFIG_LOADER_ARGS
from .hooks import ProjectHooks

HOOKS = (ProjectHooks(),)

__all__ = ["CONFIG_LOADER_ARGS", "HOOKS"]
