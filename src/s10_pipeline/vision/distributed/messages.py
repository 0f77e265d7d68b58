"""Send log records, progress, results of epochs and errors from training processes to their parent process.

Each process has its own pipe, because a killed process could leave the lock of a shared queue locked for ever.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from logging.handlers import QueueHandler
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from typing import Any

from ..progress import Show
from ..training.checkpoints import OnEpoch

# Name of the logger that is the parent of all loggers of this project.
PROJECT = __name__.partition(".")[0]


class Sender:
    """Sends log records, progress and errors of one training process to its parent process, through a pipe.

    It also serves as the queue of a :class:`QueueHandler`.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def send(self, kind: str, content: Any) -> None:
        self._connection.send((kind, content))

    def put_nowait(self, record: logging.LogRecord) -> None:
        """Send a log record to the parent process; Python's :class:`QueueHandler` calls this method."""
        self.send("log", record)

    def take_log(self, level: int) -> None:
        """Send this process's log records of at least ``level`` to the parent process, instead of printing them."""
        logger = logging.getLogger(PROJECT)
        logger.handlers = [QueueHandler(self)]  # type: ignore[arg-type]
        logger.setLevel(level)
        logger.propagate = False

    def show(self, done: int, description: str, note: str) -> None:
        """Send an update of the progress bar (arguments of :meth:`.progress.Bar.show`) to the parent process."""
        self.send("progress", (done, description, note))


@contextmanager
def listen(num_processes: int, show: Show, on_epoch: OnEpoch) -> Iterator[tuple[list[Connection], list[Exception]]]:
    """Handle the messages of training processes in a thread, while in the context: log, show progress, report epochs.

    Yields:
        one pipe end per process, for its :class:`Sender`; and a list of the errors that were sent, in order of arrival,
        which is complete when the context has ended.
    """
    pipes = [Pipe(duplex=False) for _ in range(num_processes)]
    readers, writers = [reader for reader, _ in pipes], [writer for _, writer in pipes]
    errors: list[Exception] = []
    ended = threading.Event()

    def take(kind: str, content: Any) -> None:
        if kind == "log":
            logger = logging.getLogger(content.name)
            if logger.isEnabledFor(content.levelno):
                logger.handle(content)
        elif kind == "progress":
            show(*content)
        elif kind == "epoch":
            on_epoch(content)
        else:
            errors.append(content)

    def work() -> None:
        while readers:
            ready = wait(readers, timeout=0.1)
            if not ready and ended.is_set():
                return
            for reader in ready:
                assert isinstance(reader, Connection)
                try:
                    take(*reader.recv())
                except (EOFError, OSError):
                    # The training process has ended, perhaps in the middle of a message, so read its pipe no more.
                    readers.remove(reader)

    thread = threading.Thread(target=work, daemon=True, name="training-messages")
    thread.start()
    try:
        yield writers, errors
    finally:
        for writer in writers:
            writer.close()
        ended.set()
        thread.join(timeout=10)
