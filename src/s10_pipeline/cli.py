"""The project's commands for Kedro, with one-line error messages, a clean exit after Ctrl-C and checks of options."""

import errno
import logging
import os
import shlex
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Any

import click
import yaml
from kedro import KedroDeprecationWarning
from kedro.config import MissingConfigException
from kedro.framework.cli.project import run as kedro_run
from kedro.framework.cli.utils import KedroCliError
from kedro.io import DatasetError
from omegaconf.errors import OmegaConfBaseException

from .commands.compare import compare
from .commands.join import join
from .commands.selection import check_selection
from .runner import RULES
from .staleness.commands import build_commands
from .terminal import take_terminal
from .vision.errors import UserError, printable

log = logging.getLogger(__name__)

# Operating-system errors that mean that a file cannot be written.
UNWRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ENOSPC, errno.EDQUOT)

# Remedies for errors that libraries raise, by type of error; each is added to the error's message.
REMEDIES = {
    yaml.YAMLError: "correct the file there",
    OmegaConfBaseException: "correct the file there",
    KedroCliError: "kedro run --help shows what each option takes",
    MissingConfigException: "give the folder that holds base/ as --conf-source",
    DatasetError: "make it again with the stage that writes it, or use another version with --load-versions",
}

RUNNER = "s10_pipeline.runner.Runner"


@click.group(name="s10_pipeline")
def cli() -> None:
    """Run the stages of s10_pipeline, and inspect stored results."""


def _run(**options: Any) -> Any:
    # Hide Kedro's deprecation warning about --pipeline, because this project keeps the option beside --pipelines.
    warnings.filterwarnings("ignore", "Option '--pipeline' is deprecated", KedroDeprecationWarning)
    check_selection(options)
    if options.get("runner") != RUNNER:
        log.info(
            "--runner: this runner keeps no records of runs, so --only-missing-outputs only checks that outputs exist, "
            "and simultaneous runs may read each other's outputs"
        )
    return kedro_run.callback(**options)  # type: ignore[misc]


@contextmanager
def _errors_in_one_line() -> Iterator[None]:
    """Print errors for the user as one line without a traceback, and handle SIGTERM like Ctrl-C.

    The traceback goes to the log file. An error in the program still has its traceback on the terminal.
    """
    own = os.getpid()

    def interrupt(number: int, _frame: FrameType | None) -> None:
        # A data-loading process that was just forked from this process inherits this handler, and exits at once.
        if os.getpid() != own:
            os._exit(128 + number)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    take_terminal()
    for handler in logging.getLogger().handlers:
        handler.addFilter(_only_prints)
        if isinstance(handler, logging.FileHandler):
            handler.handleError = partial(_do_without, handler)  # type: ignore[method-assign]
    try:
        yield
    except (KeyboardInterrupt, Exception) as error:
        if _is_interruption(error):
            # Ignore a second SIGTERM, and remove torch's handler of SIGCHLD, which would raise again during clean-up.
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            if hasattr(signal, "SIGCHLD"):
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            click.echo(f"Interrupted. What was finished is kept; go on with: {_command_line()}", err=True)
            sys.exit(130)  # shells use exit code 130 (128 + SIGINT) for a program that Ctrl-C ended
        if (line := _one_line(error)) is None:
            raise
        log.debug("traceback", exc_info=True)
        raise click.ClickException(printable(line)) from error
    finally:
        signal.signal(signal.SIGTERM, before)


def _only_prints(record: logging.LogRecord) -> bool:
    """Escape control characters in this project's log records, because names of files and servers may contain them."""
    if record.name.startswith(__name__.partition(".")[0]):
        record.msg, record.args = printable(record.getMessage()), None
    return True


def _is_interruption(error: BaseException | None) -> bool:
    """Return whether an error was caused by a signal such as Ctrl-C.

    A signal to the whole process group also ends data-loading processes. torch then raises an error in this process,
    and libraries may wrap it in errors of their own.
    """
    while error is not None:
        if isinstance(error, KeyboardInterrupt) or "killed by signal: Terminated" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def _do_without(handler: logging.FileHandler, _record: logging.LogRecord) -> None:
    """Stop logging to a file that cannot be written, instead of printing a traceback for each line."""
    logging.getLogger().handlers = [other for other in logging.getLogger().handlers if other is not handler]
    log.warning("log file %s: cannot be written (%s); this run keeps no log", handler.baseFilename, sys.exc_info()[1])


def _one_line(error: BaseException) -> str | None:
    """Return the message for the user in one line; None for an error in the program, which needs its traceback.

    The cause of an error is searched too, because Kedro wraps errors of datasets.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, UserError):
            return str(cause)
        if isinstance(cause, OSError) and cause.errno in UNWRITABLE:
            remedy = "free space there, change owner or permissions, or set S10_DATA_ROOT to another folder"
            return f"{cause.filename or 'a file'}: {cause.strerror}; {remedy}"
        cause = cause.__cause__
    kinds = [kind for kind in REMEDIES if isinstance(error, kind)]
    return f"{' '.join(str(error).split())}; {REMEDIES[kinds[0]]}" if kinds else None


def _check_config(read: Any, ctx: click.Context, param: click.Parameter, path: str | None) -> Any:
    """Raise UserError if the YAML file of ``--config`` has another form than Kedro expects, else let Kedro read it."""
    with open(path or os.devnull, "rb") as file:
        content = yaml.safe_load(file)
        section = content.get("run") if isinstance(content, dict) else None
        if path and not (isinstance(section, dict) and isinstance(section.get("params", {}), dict)):
            form = "run: {params: {GROUP: {NAME: VALUE}}}"
            raise UserError(f"--config={path}: the YAML file has another form than {form}; write it in this form")
    return read(ctx, param, path)


def _command_line() -> str:
    """Return the command line of this process, quoted so that it can be pasted into a shell."""
    program = os.path.basename(sys.argv[0])
    start = ["python", "-m", "s10_pipeline"] if program == "__main__.py" else [program]
    return shlex.join([*start, *sys.argv[1:]])


# Hides FastAPI's deprecation warnings about kedro-viz, which users cannot fix; kedro-viz's server is imported later.
warnings.filterwarnings("ignore", module=r"kedro_viz\.")
logging.getLogger("kedro.pipeline.node").addFilter(
    lambda _: not isinstance(sys.exc_info()[1], UserError) and not _is_interruption(sys.exc_info()[1])
)
run, *others = build_commands(RULES, RUNNER)
run.callback = _run
for option in run.params:
    if option.name == "config":
        option.callback = partial(_check_config, option.callback)
    if option.callback:
        option.callback = _errors_in_one_line()(option.callback)
for command in (run, compare, join, *others):
    command.callback = _errors_in_one_line()(command.callback)  # type: ignore[type-var]
    cli.add_command(command)
