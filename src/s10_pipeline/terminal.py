"""What the commands of this project print while they work: its own log lines, and everybody's warnings."""

import logging

import rich
from kedro.logging import RichHandler
from rich.text import Text


class TerminalHandler(logging.Handler):
    """Prints log records on rich's global console, which progress bars share, without a hard wrap.

    A terminal folds what is longer than its line, a file or a pipe gets the line whole. Of libraries, Kedro among them,
    only warnings and errors are printed; the log file has the rest.
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
    """Put our handler where Kedro's logging configuration has RichHandler; a configuration with others is kept."""
    root = logging.getLogger()
    root.handlers = [TerminalHandler(h.level) if isinstance(h, RichHandler) else h for h in root.handlers]
