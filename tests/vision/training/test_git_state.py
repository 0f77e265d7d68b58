import runpy
import shutil
import subprocess
from pathlib import Path

import pytest

from s10_pipeline.vision.training import git_state


@pytest.fixture
def package(tmp_path):
    """A package with a copy of the module, in no checkout yet."""
    module = tmp_path / "repository/package/vision/training/git_state.py"
    module.parent.mkdir(parents=True)
    shutil.copy(git_state.__file__, module)
    (module.parents[2] / "__init__.py").touch()
    return module.parents[2]


def describe(package: Path) -> dict[str, object]:
    return runpy.run_path(str(package / "vision/training/git_state.py"))["describe_git_state"]()


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=n", "-c", "user.email=e@x.invalid")
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_commit_and_changes_of_the_package_alone(package: Path) -> None:
    git(package.parent, "init", "-q")
    git(package.parent, "add", ".")
    git(package.parent, "commit", "-qm", "first")
    head = git(package.parent, "rev-parse", "HEAD")
    (package.parent / "elsewhere.txt").write_text("no part of the package")
    assert describe(package) == {"commit": head, "uncommitted_changes": False}
    (package / "__init__.py").write_text("# edited")
    assert describe(package) == {"commit": head, "uncommitted_changes": True}


def test_an_installed_copy_says_nothing_of_the_repository_around_it(package: Path) -> None:
    git(package.parent, "init", "-q")
    git(package.parent, "commit", "-qm", "of another project", "--allow-empty")
    assert describe(package) == {}


def test_no_checkout_and_no_git(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(package.parents[1]))
    assert describe(package) == {}
    monkeypatch.setenv("PATH", "")
    assert describe(package) == {}
