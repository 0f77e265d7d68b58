"""Log handler for the terminal, which prints all records of this project, and warnings and errors of libraries."""

import logging

import rich
from kedro.logging import RichHandler
from rich.text import Text


class TerminalHandler(logging.Handler):
    """Prints log records on rich's global console, which progress bars share, and inserts no line breaks.

    A terminal wraps long lines itself; in a file or pipe, lines stay whole. For libraries, including Kedro, only
    warnings and errors are printed; the log file has all records.
    """

    def emit(self, record: logging.LogRecord) -> None:
        warns = record.levelno >= logging.WARNING
        kind = f"{record.levelname.capitalize()}: " if warns else "", "bold yellow"
        try:
            if warns or record.name.startswith(__name__.partition(".")[0]):
                rich.get_console().print(Text.assemble(kind, self.format(record).rstrip()), soft_wrap=True)
        except Exception:
            self.handleError(record)


def take_terminal() -> None:
    """Replace Kedro's RichHandler by :class:`TerminalHandler`; other handlers in a logging configuration are kept."""
    root = logging.getLogger()
    root.handlers = [TerminalHandler(h.level) if isinstance(h, RichHandler) else h for h in root.handlers]
