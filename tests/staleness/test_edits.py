"""Edits of code: each makes exactly those nodes run that reach what was edited, and those whose inputs change by it."""

from pathlib import Path

import pytest
from edits import DECIDING, HARMLESS

NOTHING: list[str] = []


@pytest.mark.parametrize("name", HARMLESS)
def test_harmless_edits_run_nothing(project, name):
    project.edit(*HARMLESS[name])
    assert project.run() == NOTHING


@pytest.mark.parametrize("name", DECIDING)
def test_deciding_edits_run_what_reaches_them(project, name):
    *edit, expected = DECIDING[name]
    project.edit(*edit)
    assert project.run() == expected
    file, old, new = edit
    project.edit(file, new, old)
    assert project.run() == NOTHING


def test_files_that_nobody_reads_and_new_modules_change_nothing(project):
    Path(project.package / "page" / "notes.py").write_text("TEXT = 'new'\n")
    for name in ("README.txt", "page/.hidden", "page/cached.pyc"):
        Path(project.package / name).write_text("about")
    assert project.run() == NOTHING
    Path(project.package / "page" / "style.css").write_text("p {}")
    assert project.run() == ["judge"]
