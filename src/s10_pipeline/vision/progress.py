"""Show progress: a live bar on a terminal, else a log line every 30 seconds."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import rich
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column

log = logging.getLogger(__name__)

# Seconds between log lines.
LOG_SECONDS = 30


@contextmanager
def progress_bar(description: str, total: int, unit: str = "") -> Iterator["Bar"]:
    """Yield a progress bar, which disappears at the end; ``bar.advance()`` and ``bar.show(...)`` update it."""
    bar = Bar(description, total, unit)
    with bar.progress:
        yield bar


# Type of functions that update a progress bar, as Bar.show does: count, description, note. In distributed training, a
# function of this type sends these arguments to the process that shows the bar.
Show = Callable[[int, str, str], None]


class Bar:
    """A progress bar on one line: description, bar, count, remaining time and a note.

    It shares rich's global console with the log handler, so log lines scroll above it. Without a terminal, description,
    count and note are logged every :data:`LOG_SECONDS`.
    """

    def __init__(self, description: str, total: int, unit: str = "") -> None:
        console = rich.get_console()
        self.progress = Progress(
            TextColumn("{task.description}", markup=False),
            # Let only the bar shrink on a narrow terminal; texts keep their width.
            BarColumn(bar_width=24),
            MofNCompleteColumn(table_column=Column(no_wrap=True)),
            TextColumn(unit, markup=False),
            TimeRemainingColumn(table_column=Column(no_wrap=True)),
            TextColumn("{task.fields[note]}", markup=False),
            console=console,
            transient=True,
            disable=not console.is_terminal or console.is_dumb_terminal,
        )
        self._task = self.progress.add_task(description, total=total, note="")
        self._unit, self._logged = unit, time.monotonic()

    def advance(self, steps: int = 1) -> None:
        self.progress.advance(self._task, steps)
        self._log()

    def show(self, done: int, description: str, note: str) -> None:
        """Set count, description and note of the progress bar; the count ``done`` may also go back."""
        self.progress.update(self._task, completed=done, description=description, note=note)
        self._log()

    def _log(self) -> None:
        if self.progress.disable and time.monotonic() > self._logged + LOG_SECONDS:
            self._logged, task = time.monotonic(), self.progress.tasks[0]
            done = task.completed, task.total, self._unit, task.fields["note"]
            log.info("progress of %s: %d of %d %s  %s", task.description, *done)
