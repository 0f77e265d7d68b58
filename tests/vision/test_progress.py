import io
import logging

import pytest
import rich
from rich.console import Console

from s10_pipeline.vision.progress import progress_bar


@pytest.fixture(params=[True, False], ids=["terminal", "file"])
def console(request, monkeypatch):
    """The console that bars share with the log: a terminal, or a file."""
    console = Console(file=io.StringIO(), force_terminal=request.param, width=80)
    monkeypatch.setattr(rich, "get_console", lambda: console)
    return console


def test_a_terminal_shows_a_bar_and_a_file_gets_log_lines(console, caplog, monkeypatch):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr("s10_pipeline.vision.progress.LOG_SECONDS", 0)
    note = "loss [1.23]  82.0 %  lr 0.05  16k img/s"
    with progress_bar("epoch [1]", 19500, "images") as bar:
        bar.advance(10)
        bar.show(7000, "epoch [2]", note)
        bar.progress.refresh()
    shown = console.file.getvalue()
    if not console.is_terminal:
        assert "━" not in shown
        first = "progress of epoch [1]: 10 of 19500 images  "
        assert caplog.messages == [first, f"progress of epoch [2]: 7000 of 19500 images  {note}"]
        return
    assert not caplog.messages
    # brackets are text, not markup; where room is short, the bar alone gives way
    for fact in ("epoch [2]", "7000/19500", "images", "-:--:--", note):
        assert fact in shown
