"""Commands of this project: ``kedro run``, with this project's care for the person who types it."""

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

# What the system says where nothing can be written.
UNWRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ENOSPC, errno.EDQUOT)

# What to do about errors of libraries that say the rest themselves.
REMEDIES = {
    yaml.YAMLError: "mend the file there",
    OmegaConfBaseException: "mend the file there",
    KedroCliError: "kedro run --help shows what each option takes",
    MissingConfigException: "give the folder that holds base/ as --conf-source",
    DatasetError: "make it again with the stage that writes it, or take another version with --load-versions",
}

RUNNER = "s10_pipeline.runner.Runner"


@click.group(name="s10_pipeline")
def cli() -> None:
    """Commands of s10_pipeline."""


def _run(**options: Any) -> Any:
    # the contract of this project keeps --pipeline beside --pipelines
    warnings.filterwarnings("ignore", "Option '--pipeline' is deprecated", KedroDeprecationWarning)
    check_selection(options)
    if options.get("runner") != RUNNER:
        log.info("this runner records nothing: --only-missing-outputs looks at existence alone, runs may mix")
    return kedro_run.callback(**options)  # type: ignore[misc]


@contextmanager
def _errors_in_one_line() -> Iterator[None]:
    """End on a user's mistake with one line, its traceback goes to the log file; on SIGTERM (``kill``) as on Ctrl-C."""
    own = os.getpid()

    def interrupt(number: int, _frame: FrameType | None) -> None:
        if os.getpid() != own:  # a loader worker that was just forked
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
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it may still be on its way to this process
            if hasattr(signal, "SIGCHLD"):  # torch's handler would raise again while loaders are cleared away
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            click.echo(f"Interrupted. What was finished is kept; go on with: {_command_line()}", err=True)
            # at once: worker processes and libraries may still be in the middle of something
            sys.exit(130)
        if (line := _one_line(error)) is None:
            raise
        log.debug("traceback", exc_info=True)
        raise click.ClickException(printable(line)) from error
    finally:
        signal.signal(signal.SIGTERM, before)


def _only_prints(record: logging.LogRecord) -> bool:
    """Make a log record of this project one line without control characters, whatever files and servers are called."""
    if record.name.startswith(__name__.partition(".")[0]):
        record.msg, record.args = printable(record.getMessage()), None
    return True


def _is_interruption(error: BaseException | None) -> bool:
    """Return whether a signal is at the bottom of an error.

    One that is sent to the whole process group ends loader workers too: torch raises an error wherever this process
    is then, and others turn that into errors of their own.
    """
    while error is not None:
        if isinstance(error, KeyboardInterrupt) or "killed by signal: Terminated" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def _do_without(handler: logging.FileHandler, _record: logging.LogRecord) -> None:
    """Stop logging to a file that cannot be written, instead of a traceback for every line."""
    logging.getLogger().handlers = [other for other in logging.getLogger().handlers if other is not handler]
    log.warning("%s: cannot be written (%s); no log is kept", handler.baseFilename, sys.exc_info()[1])


def _one_line(error: BaseException) -> str | None:
    """Return the line that a user needs; None for an error of the program. Kedro wraps what goes wrong in a dataset."""
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
            raise UserError(f"--config={path}: not of the form run: {{params: {{GROUP: {{NAME: VALUE}}}}}}; mend it")
    return read(ctx, param, path)


def _command_line() -> str:
    """The command as it was typed, to go on with."""
    program = os.path.basename(sys.argv[0])
    start = ["python", "-m", "s10_pipeline"] if program == "__main__.py" else [program]
    return shlex.join([*start, *sys.argv[1:]])


# Kedro reads this file before its commands: of the calls in kedro-viz that FastAPI deprecates nobody here is the author
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
