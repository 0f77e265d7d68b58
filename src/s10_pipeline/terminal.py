"""What the commands of this project print while they work: its own log lines, and everybody's warnings."""

import logging

import rich
from kedro.logging import RichHandler
from rich.text import Text

# Logger above all of this project's.
PROJECT = __name__.partition(".")[0]


class TerminalHandler(logging.Handler):
    """Prints log records on rich's global console, which progress bars share, without a hard wrap.

    A terminal folds what is longer than its line, a file or a pipe gets the line whole. Of libraries, Kedro among them,
    only warnings and errors are printed; the log file has the rest.
    """

    def filter(self, record: logging.LogRecord) -> bool | logging.LogRecord:
        shown = record.levelno >= logging.WARNING or record.name.startswith(PROJECT)
        return shown and super().filter(record)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = Text(self.format(record).rstrip())
            if record.levelno >= logging.WARNING:
                line = Text.assemble((f"{record.levelname.capitalize()}: ", "bold yellow"), line)
            rich.get_console().print(line, soft_wrap=True)
        except Exception:
            self.handleError(record)


def take_terminal() -> None:
    """Put our handler where Kedro's logging configuration has RichHandler; a configuration with others is kept."""
    logging.captureWarnings(True)
    root = logging.getLogger()
    root.handlers = [TerminalHandler(h.level) if isinstance(h, RichHandler) else h for h in root.handlers]
