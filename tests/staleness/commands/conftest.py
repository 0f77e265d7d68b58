"""Commands on the small project."""

from types import SimpleNamespace

import pytest
from click.testing import CliRunner


@pytest.fixture
def invoke(project, monkeypatch):
    """Call a command of a module of ``staleness.commands`` as if the small project were that of the folder."""

    def call(command, module, *arguments):
        context = SimpleNamespace(catalog=project.catalog("2026-09-01T00.00.00.000Z"))
        monkeypatch.setattr(module, "open_context", lambda *_: context)
        return CliRunner().invoke(command, arguments)

    return call
