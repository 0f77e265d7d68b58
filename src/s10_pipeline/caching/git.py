"""The state of the source, for records."""

import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any


@cache
def describe_git(package: str) -> dict[str, Any]:
    """Commit of the checkout that holds the package, and whether files of it differ."""
    folder = Path(str(sys.modules[package].__file__)).parent
    try:
        for arguments in (
            ["ls-files", "--error-unmatch", "__init__.py"],
            ["rev-parse", "HEAD"],
            ["status", "--porcelain", "."],
        ):
            out = subprocess.run(
                ["git", *arguments], cwd=folder, capture_output=True, text=True, check=True, timeout=10
            )
            if arguments[0] == "rev-parse":
                commit = out.stdout.strip()
        return {"commit": commit, "dirty": bool(out.stdout.strip())}
    except (OSError, subprocess.SubprocessError):
        return {}
