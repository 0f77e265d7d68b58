import io
import logging
import sys

import pytest
import rich
from kedro.logging import RichHandler
from rich.console import Console

from s10_pipeline.terminal import TerminalHandler, take_terminal


@pytest.fixture
def printed(monkeypatch):
    """Prints what is logged by the command's handler on a console of 80 columns; returns the lines."""
    console = Console(file=io.StringIO(), width=80)
    monkeypatch.setattr(rich, "get_console", lambda: console)
    monkeypatch.setattr(logging.getLogger(), "handlers", [RichHandler(level=logging.INFO)])
    take_terminal()

    def log(name: str, level: int, *message: object) -> list[str]:
        logger = logging.getLogger(name)
        monkeypatch.setattr(logger, "level", logging.DEBUG)
        logger.log(level, *message)
        return console.file.getvalue().splitlines()

    yield log
    logging.captureWarnings(False)


@pytest.mark.parametrize(
    ("logger", "level", "line"),
    [
        ("s10_pipeline.x", logging.INFO, "[epoch 1] " + "folder/" * 30 + "report.html"),
        ("s10_pipeline.x", logging.DEBUG, None),
        ("kedro.pipeline.node", logging.INFO, None),
        ("kedro.pipeline.node", logging.WARNING, "Warning: [epoch 1] " + "folder/" * 30 + "report.html"),
    ],
)
def test_a_line_of_ours_or_a_warning_is_printed_whole(printed, logger, level, line):
    assert printed(logger, level, "[epoch 1] %sreport.html", "folder/" * 30) == ([line] if line else [])


def test_other_handlers_of_a_logging_configuration_are_kept(monkeypatch):
    chosen = logging.StreamHandler(sys.stderr)
    monkeypatch.setattr(logging.getLogger(), "handlers", [chosen, TerminalHandler()])
    before = list(logging.getLogger().handlers)
    take_terminal()
    assert logging.getLogger().handlers == before
    logging.captureWarnings(False)
