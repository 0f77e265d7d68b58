import io
import logging

import pytest
import rich
from kedro.logging import RichHandler
from rich.console import Console

from s10_pipeline.terminal import TerminalHandler, take_terminal

LINE = "[epoch 1] " + "folder/" * 30 + "report.html"


@pytest.mark.parametrize(
    ("logger", "level", "printed"),
    [
        ("s10_pipeline.x", logging.INFO, f"{LINE}\n"),
        ("s10_pipeline.x", logging.DEBUG, ""),
        ("kedro.pipeline.node", logging.INFO, ""),
        ("kedro.pipeline.node", logging.WARNING, f"Warning: {LINE}\n"),
    ],
)
def test_a_line_of_ours_or_a_warning_is_printed_whole(logger, level, printed, monkeypatch):
    console, others = Console(file=io.StringIO(), width=80), logging.NullHandler()
    monkeypatch.setattr(rich, "get_console", lambda: console)
    monkeypatch.setattr(logging.getLogger(), "handlers", [RichHandler(level=logging.INFO), others])
    monkeypatch.setattr(logging.getLogger(logger), "level", logging.DEBUG)
    take_terminal()
    logging.getLogger(logger).log(level, "%s", LINE)
    logging.captureWarnings(False)
    assert console.file.getvalue() == printed
    assert [type(handler) for handler in logging.getLogger().handlers] == [TerminalHandler, type(others)]
