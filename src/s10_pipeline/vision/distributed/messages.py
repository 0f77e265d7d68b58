"""What training processes tell the one that started them: log records, progress, errors.

A pipe a process: a killed one cannot take a shared queue's lock with it.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from logging.handlers import QueueHandler
from multiprocessing.connection import Connection, wait
from typing import Any

from ..progress import BarLike

# Logger above all of this project's.
PROJECT = __name__.partition(".")[0]


class Sender:
    """A training process's end of its pipe; also what it uses for a progress bar."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def send(self, kind: str, *content: Any) -> None:
        self._connection.send((kind, content))

    def put_nowait(self, record: logging.LogRecord) -> None:
        """What :class:`QueueHandler` calls."""
        self.send("log", record)

    def take_log(self, level: int) -> None:
        """Send this process's log records from ``level`` on, instead of printing them."""
        logger = logging.getLogger(PROJECT)
        logger.handlers = [QueueHandler(self)]  # type: ignore[arg-type]
        logger.setLevel(level)
        logger.propagate = False

    def advance(self, steps: int = 1) -> None:
        self.send("advance", steps)

    def move_to(self, steps: int) -> None:
        self.send("move_to", steps)

    def describe(self, description: str) -> None:
        self.send("describe", description)

    def note(self, text: str) -> None:
        self.send("note", text)


class NullProgress:
    """A bar that nobody sees."""

    def advance(self, steps: int = 1) -> None:
        pass

    def move_to(self, steps: int) -> None:
        pass

    def describe(self, description: str) -> None:
        pass

    def note(self, text: str) -> None:
        pass


@contextmanager
def listen(readers: list[Connection], bar: BarLike) -> Iterator[dict[int, tuple[str, str]]]:
    """Log and show what arrives while in the context.

    Args:
        readers: one per process, by rank.

    Yields:
        errors by rank, as (kind, text); complete once the context has ended.
    """
    errors: dict[int, tuple[str, str]] = {}
    ended = threading.Event()

    def take(rank: int, kind: str, content: tuple[Any, ...]) -> None:
        if kind == "log":
            record: logging.LogRecord = content[0]
            if logging.getLogger(record.name).isEnabledFor(record.levelno):
                logging.getLogger(record.name).handle(record)
        elif kind in ("advance", "move_to", "describe", "note"):
            getattr(bar, kind)(*content)
        else:
            errors.setdefault(rank, (kind, content[0]))

    def work() -> None:
        ranks = {reader: rank for rank, reader in enumerate(readers)}
        while ranks:
            ready = wait(list(ranks), timeout=0.1)
            if not ready and ended.is_set():
                return
            for reader in ready:
                assert isinstance(reader, Connection)
                try:
                    take(ranks[reader], *reader.recv())
                except (EOFError, OSError):  # its process has ended, perhaps in the middle of a message
                    del ranks[reader]

    thread = threading.Thread(target=work, daemon=True, name="training-messages")
    thread.start()
    try:
        yield errors
    finally:
        ended.set()
        thread.join(timeout=10)
