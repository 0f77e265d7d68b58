"""Describe the Git state of the code that runs."""

import functools
import subprocess
from pathlib import Path
from typing import Any


@functools.cache
def describe_git_state() -> dict[str, Any]:
    """Return the Git ``commit`` of the checkout with this package, and whether the package has ``uncommitted_changes``.

    Empty without a checkout or without Git. The first result is cached, so later changes do not show.
    """
    package = Path(__file__).parents[2]

    def git(*arguments: str) -> str:
        command = ["git", *arguments]
        return subprocess.run(
            command, cwd=package, capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()

    try:
        # Fail if the package is only installed inside the checkout of another project, whose commit would mislead.
        git("ls-files", "--error-unmatch", "__init__.py")
        return {"commit": git("rev-parse", "HEAD"), "uncommitted_changes": bool(git("status", "--porcelain", "."))}
    except (OSError, subprocess.SubprocessError):
        return {}
