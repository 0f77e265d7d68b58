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
    with progress_bar("epoch [1]", 40, "images") as bar:
        bar.advance(10)
        bar.show(30, "epoch [2]", "loss [1.23]")
        bar.progress.refresh()
    shown = console.file.getvalue()
    if not console.is_terminal:
        assert not shown.strip()
        assert caplog.messages == ["epoch [1]: 10 of 40 images  ", "epoch [2]: 30 of 40 images  loss [1.23]"]
        return
    assert not caplog.messages
    # brackets are text, not markup
    for fact in ("epoch [2]", "30/40", "images", "loss [1.23]"):
        assert fact in shown


def test_where_room_is_short_the_bar_gives_way_not_total_or_time(monkeypatch):
    console = Console(file=io.StringIO(), force_terminal=True, width=80)
    monkeypatch.setattr(rich, "get_console", lambda: console)
    note = "loss 0.512  82.0 %  lr 0.05  16k img/s"
    with progress_bar("", 19_500, "batches") as bar:
        bar.show(7_000, "epoch 18/50", note)
        bar.progress.refresh()
    for fact in ("epoch 18/50", "7000/19500", "batches", "-:--:--", note):
        assert fact in console.file.getvalue()
