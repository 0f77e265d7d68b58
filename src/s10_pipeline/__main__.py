"""``python -m s10_pipeline`` and the installed command ``s10-pipeline``: ``kedro run`` without a project folder.

If the first argument is another command of this project (``stages``, ``compare``, ...), that command runs instead.
"""

import logging
import os
import sys
from typing import Any


def main(*args: Any, **kwargs: Any) -> Any:
    """Run ``kedro run`` with the given options, or another command of this project if the first argument names one."""
    # Switch off kedro-telemetry, because outside a project folder no file .telemetry does so.
    os.environ.setdefault("DO_NOT_TRACK", "1")
    # Hide the message that Kedro logs at import about its logging configuration.
    logging.getLogger("kedro.framework.project").addFilter(lambda record: record.levelno > logging.INFO)
    from kedro.framework.cli.utils import find_run_command
    from kedro.framework.project import configure_project

    configure_project("s10_pipeline")
    if not args and sys.argv[1:] and not sys.argv[1].startswith("-"):
        from .cli import cli

        return cli()
    return find_run_command("s10_pipeline")(*args, **kwargs)


if __name__ == "__main__":
    main()
