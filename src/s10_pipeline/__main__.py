"""``python -m s10_pipeline`` and the installed command ``s10-pipeline``: ``kedro run`` without a project folder.

If the first argument is another command of this project (``stages``, ``compare``, ...), that command runs instead.
"""

import logging
import os
import sys
from typing import Any


def main(*args: Any, **kwargs: Any) -> Any:
    """Run ``kedro run`` with its options, including ``--conf-source``, or the command that the first argument names."""
    # kedro-telemetry is switched off by the file .telemetry of a project folder, which may be missing here
    os.environ.setdefault("DO_NOT_TRACK", "1")
    # hides Kedro's message at import about the logging file that it reads
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
