"""The commands of this project, with one-line error messages, clean interruption and checks of options."""

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

# Remedies added to the messages of library errors.
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
    """Commands of s10_pipeline."""


def _run(**options: Any) -> Any:
    # this project keeps --pipeline beside --pipelines, so Kedro's deprecation warning is hidden
    warnings.filterwarnings("ignore", "Option '--pipeline' is deprecated", KedroDeprecationWarning)
    check_selection(options)
    if options.get("runner") != RUNNER:
        log.info("this runner keeps no records: --only-missing-outputs only checks existence, parallel runs may mix")
    return kedro_run.callback(**options)  # type: ignore[misc]


@contextmanager
def _errors_in_one_line() -> Iterator[None]:
    """Turn errors into one line on the terminal and a traceback in the log file; handle SIGTERM like Ctrl-C."""
    own = os.getpid()

    def interrupt(number: int, _frame: FrameType | None) -> None:
        if os.getpid() != own:  # a data-loading process that was just forked
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
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # A second signal may still arrive.
            if hasattr(signal, "SIGCHLD"):  # torch's handler of SIGCHLD would raise again during clean-up.
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            click.echo(f"Interrupted. What was finished is kept; go on with: {_command_line()}", err=True)
            # exit at once, because worker processes and libraries may still be busy
            sys.exit(130)
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
    log.warning("%s: cannot be written (%s); no log is kept", handler.baseFilename, sys.exc_info()[1])


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
    """Check the file of ``--config`` before Kedro reads it."""
    with open(path or os.devnull, "rb") as file:
        content = yaml.safe_load(file)
        section = content.get("run") if isinstance(content, dict) else None
        if path and not (isinstance(section, dict) and isinstance(section.get("params", {}), dict)):
            raise UserError(f"--config={path}: not of the form run: {{params: {{GROUP: {{NAME: VALUE}}}}}}; correct it")
    return read(ctx, param, path)


def _command_line() -> str:
    """Return the command as it was typed, quoted for a shell."""
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
