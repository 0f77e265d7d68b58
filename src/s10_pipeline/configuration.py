"""How configuration files are read, for Kedro's settings and for looking into other environments."""

from typing import Any

from omegaconf.resolvers import oc

# An environment's file replaces single values, not whole groups; ${env:NAME, default} reads an environment variable.
CONFIG_LOADER_ARGS: dict[str, Any] = {
    "base_env": "base",
    "default_run_env": "base",
    "merge_strategy": {"parameters": "soft", "catalog": "soft", "globals": "soft"},
    "custom_resolvers": {"env": oc.env},
}
