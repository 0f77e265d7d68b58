"""``python -m s10_pipeline`` and the installed command ``s10-pipeline``: ``kedro run`` without a project folder.

With the name of another command of this project first (``stages``, ``compare``, ...), that one.
"""

import logging
import os
import sys
from typing import Any


def main(*args: Any, **kwargs: Any) -> Any:
    """Run the pipeline; options as of ``kedro run``, ``--conf-source`` among them."""
    # kedro-telemetry asks the file .telemetry of a project folder; without one it would send
    os.environ.setdefault("DO_NOT_TRACK", "1")
    # Kedro says at its import which logging file it reads, before any command could
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
