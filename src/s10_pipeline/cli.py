"""Commands of this project: ``kedro run``, with this project's care for the person who types it."""

import logging
import os
import shlex
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from types import FrameType
from typing import Any

import click
from kedro import KedroDeprecationWarning
from kedro.framework.cli.project import run as kedro_run
from kedro.io import DatasetError
from yaml import YAMLError

from .commands.compare import compare
from .commands.selection import check_selection
from .runner import RULES
from .staleness.commands import build_commands

log = logging.getLogger(__name__)

RUNNER = "s10_pipeline.runner.Runner"


@click.group(name="s10_pipeline")
def cli() -> None:
    """Commands of s10_pipeline."""


def _run(**options: Any) -> Any:
    # the contract of this project keeps --pipeline beside --pipelines
    warnings.filterwarnings("ignore", "Option '--pipeline' is deprecated", KedroDeprecationWarning)
    assert kedro_run.callback is not None
    with _errors_in_one_line(), _ending_on_sigterm():
        _check_environment(options.get("env"), options.get("conf_source"))
        check_selection(options)
        if options.get("runner") != RUNNER:
            log.info(
                "this runner records nothing: --only-missing-outputs will look at existence alone, runs at once may mix"
            )
        return kedro_run.callback(**options)


def _check_environment(env: str | None, conf_source: str | None) -> None:
    from .vision.errors import UserError, did_you_mean

    conf = Path(conf_source or "conf")
    known = sorted(p.name for p in conf.iterdir() if p.is_dir()) if conf.is_dir() else []
    where, name = ("--env", env) if env else ("KEDRO_ENV", os.environ.get("KEDRO_ENV"))
    if name and known and name not in known:
        raise UserError(f"{where}={name}: no such environment; {did_you_mean(name, known)}")


@contextmanager
def _errors_in_one_line() -> Iterator[None]:
    """A user's mistake is one line and a non-zero exit; its traceback goes to the log file."""
    from .vision.errors import UserError

    try:
        yield
    except UserError as error:
        log.debug("traceback", exc_info=True)
        raise click.ClickException(str(error)) from error
    except DatasetError as error:
        log.debug("traceback", exc_info=True)
        raise click.ClickException(_explain_dataset_error(error)) from error
    except YAMLError as error:
        log.debug("traceback", exc_info=True)
        raise click.ClickException(f"{' '.join(str(error).split())} Mend the file there.") from error
    except KeyboardInterrupt:
        click.echo(f"Interrupted. What was finished is kept; go on with: {_command_line()}", err=True)
        # at once: worker processes and libraries may still be in the middle of something
        sys.exit(130)


def _explain_dataset_error(error: BaseException) -> str:
    """Kedro wraps what goes wrong in a dataset, our own one-line errors too."""
    from .vision.errors import UserError

    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, UserError):
            return str(cause)
        cause = cause.__cause__
    remedy = "make it again with the stage that writes it, or take another version with --load-versions"
    return f"{' '.join(str(error).split())}; {remedy}"


def _command_line() -> str:
    """The command as it was typed, to go on with."""
    program = os.path.basename(sys.argv[0])
    start = ["python", "-m", "s10_pipeline"] if program == "__main__.py" else [program]
    return shlex.join([*start, *sys.argv[1:]])


@contextmanager
def _ending_on_sigterm() -> Iterator[None]:
    """End on SIGTERM (a batch system's time limit, ``kill``) as on Ctrl-C."""

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _in_one_line(command: click.Command) -> click.Command:
    """The command with its errors told as those of ``kedro run`` are."""
    callback = command.callback
    assert callback is not None

    @wraps(callback)
    def told(**options: Any) -> Any:
        with _errors_in_one_line():
            for env in (options.get("env"), *(options.get("envs") or ())):
                _check_environment(env, options.get("conf_source"))
            return callback(**options)

    command.callback = told
    return command


run, *others = build_commands(RULES, RUNNER)
run.callback = _run
cli.add_command(run)
for command in (compare, *others):
    cli.add_command(_in_one_line(command))
