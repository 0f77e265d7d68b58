"""Which state of the code ran."""

import functools
import subprocess
from pathlib import Path
from typing import Any


@functools.cache
def describe_git_state() -> dict[str, Any]:
    """``commit`` of the checkout that holds the package, and ``uncommitted_changes`` (bool) to the package's files.

    Empty where there is none, or no Git. Both are as they were when first asked for.
    """
    package = Path(__file__).parents[2]

    def git(*arguments: str) -> str:
        command = ["git", *arguments]
        return subprocess.run(
            command, cwd=package, capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", "__init__.py")  # a checkout around an installed package is another project's
        return {"commit": git("rev-parse", "HEAD"), "uncommitted_changes": bool(git("status", "--porcelain", "."))}
    except (OSError, subprocess.SubprocessError):
        return {}
