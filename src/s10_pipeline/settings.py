"""Kedro's project settings: https://docs.kedro.org/en/stable/configure/configuration_basics/."""

from .configuration import CONFIG_LOADER_ARGS, ConfigLoader
from .hooks import ProjectHooks
from .on_epoch import EpochHooks

CONFIG_LOADER_CLASS = ConfigLoader
HOOKS = (ProjectHooks(), EpochHooks())

__all__ = ["CONFIG_LOADER_ARGS", "CONFIG_LOADER_CLASS", "HOOKS"]
