"""Live progress on a terminal, silence in a log file (where the log lines tell)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

import rich
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


@contextmanager
def progress_bar(description: str, total: int, unit: str = "") -> Iterator["Bar"]:
    """A bar that disappears when done; ``bar.advance()`` and ``bar.note("loss 1.23")`` move it."""
    with Bar(description, total, unit) as bar:
        yield bar


# Bar.show, or a function that sends its arguments to the process of the bar.
Show = Callable[[int, str, str], None]


class Bar:
    """One line: description, bar, count, time left, and whatever is noted.

    It shares rich's global console with the log handler, so that log lines scroll above it.
    """

    def __init__(self, description: str, total: int, unit: str = "") -> None:
        console = rich.get_console()
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn(unit, markup=False),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task(description, total=total, note="")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def advance(self, steps: int = 1) -> None:
        self._progress.advance(self._task, steps)

    def show(self, done: int, description: str, note: str) -> None:
        """Set everything at once; ``done``, of ``total``, may also be less than before."""
        self._progress.update(self._task, completed=done, description=description, note=note)

    def note(self, text: str) -> None:
        self._progress.update(self._task, note=text)
