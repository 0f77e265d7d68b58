import errno
import logging
import os
from logging.handlers import RotatingFileHandler
from unittest.mock import Mock

import pytest
from click.testing import CliRunner
from kedro.framework.cli.project import run as kedro_run
from kedro.framework.project import configure_project
from kedro.io import DatasetError
from kedro.pipeline import node

from s10_pipeline import cli
from s10_pipeline.datasets.html import HTMLDataset
from s10_pipeline.vision.errors import UserError
from s10_pipeline.vision.training.checkpoints import RunCheckpoints


@pytest.fixture
def called(monkeypatch):
    options: dict = {}
    configure_project("s10_pipeline")
    monkeypatch.setattr(kedro_run, "callback", lambda **given: options.update(given))
    return options


def invoke(*arguments: str):
    return CliRunner().invoke(cli.run, arguments)


def test_kedros_own_options_are_all_there(called):
    assert {p.name for p in cli.run.params} == {p.name for p in kedro_run.params}
    assert invoke("--env=sample", "--pipeline=explain").exit_code == 0 and called["env"] == "sample"
    assert called["pipeline"] == "explain" and called["params"] == {}
    assert called["runner"] == "s10_pipeline.runner.Runner"


def test_another_runner_is_taken_and_told_what_it_lacks(called, caplog):
    caplog.set_level("INFO")
    assert invoke("--runner=ThreadRunner").exit_code == 0 and called["runner"] == "ThreadRunner"
    assert "keeps no records" in "".join(caplog.messages)


@pytest.fixture
def told(monkeypatch):
    """The result of a run in which something is raised."""

    def call(error: BaseException):
        monkeypatch.setattr(kedro_run, "callback", Mock(side_effect=error))
        return invoke()

    return call


def test_a_users_mistake_is_one_line_and_a_bug_is_not_hidden(told):
    result = told(UserError("predict.path=a\nError: fake\x1b[2J\r\u202e\x9b: no image; give another"))
    assert result.exit_code == 1
    assert result.output == "Error: predict.path=a\\nError: fake\\x1b[2J\\r\\u202e\\x9b: no image; give another\n"
    assert isinstance(told(ValueError("a bug")).exception, ValueError)


def test_a_name_forges_no_line_of_the_log(monkeypatch, tmp_path):
    handler = logging.FileHandler(tmp_path / "log")
    monkeypatch.setattr(logging.getLogger(), "handlers", [handler])
    names = ("a\nError: fake.png", "\x1b[2J", "\r\u202e", "\x9b31m", "\u2028x", "b%s", "grün 猫")
    monkeypatch.setattr(kedro_run, "callback", lambda **_: [cli.log.error("%s: no image", name) for name in names])
    assert invoke().exit_code == 0
    handler.close()
    lines = (tmp_path / "log").read_text().splitlines()
    assert len(lines) == 1 + len(names) - 1 and all(line.isprintable() for line in lines)
    assert lines[-1] == "grün 猫: no image"


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ENOENT])
def test_a_disk_that_takes_nothing_is_one_line(told, number):
    error = DatasetError("Failed while saving data to dataset")
    error.__cause__ = OSError(number, os.strerror(number), "/x/y")
    (line,) = told(error).output.splitlines()
    assert line.startswith(f"Error: /x/y: {os.strerror(number)}; ") == (number != errno.ENOENT)


@pytest.mark.parametrize("where", ["node", "checkpoint", "dataset"])
def test_a_signal_to_all_processes_ends_as_ctrl_c_does(monkeypatch, tmp_path, caplog, where):
    # the words of torch, whose handler raises wherever the main process is
    killed = RuntimeError("DataLoader worker (pid 7) is killed by signal: Terminated. ")

    def dies(*_: object) -> None:
        raise killed

    def saves(x: int) -> int:
        monkeypatch.setattr("torch.save", dies)
        RunCheckpoints(tmp_path, keep=1).save(x, {})

    def stores(**_: object) -> None:
        monkeypatch.setattr(HTMLDataset, "encode", dies)
        HTMLDataset(filepath=str(tmp_path / "page.html")).save("")

    calls = {"node": lambda **_: node(dies, "x", "y").run({"x": 1}), "dataset": stores,
             "checkpoint": lambda **_: node(saves, "x", "y").run({"x": 1})}  # fmt: skip
    monkeypatch.setattr(kedro_run, "callback", calls[where])
    result = invoke()
    assert result.exit_code == 130 and result.output.splitlines()[-1].startswith("Interrupted. ")
    assert "killed" not in result.output
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_an_error_in_a_node_is_told_once(monkeypatch, caplog):
    def mistaken(x: int) -> int:
        raise UserError(f"train.lr={x}: wrong")

    monkeypatch.setattr(kedro_run, "callback", lambda **_: node(mistaken, "x", "y").run({"x": 1}))
    output = invoke().output
    assert output.endswith("Error: train.lr=1: wrong\n") and output.count("wrong") == 1
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_an_interruption_tells_how_to_go_on(told, monkeypatch):
    monkeypatch.setattr("sys.argv", ["/somewhere/bin/kedro", "run", "--params=ingest.path=a b"])
    result = told(KeyboardInterrupt())
    assert result.exit_code == 130
    assert "go on with: kedro run '--params=ingest.path=a b'" in result.output


@pytest.mark.parametrize("place", ["missing/s10.log", "/proc/s10.log", "."])
def test_a_log_that_cannot_be_written_costs_one_line(monkeypatch, tmp_path, caplog, capsys, place):
    def told(**_: object) -> None:
        for number in range(3):
            logging.getLogger("s10_pipeline").warning("line %d", number)

    handler = RotatingFileHandler(tmp_path / "x", delay=True)
    handler.baseFilename = str(tmp_path / place)
    monkeypatch.setattr(kedro_run, "callback", told)
    monkeypatch.setattr(logging.getLogger(), "handlers", [handler, *logging.getLogger().handlers])
    assert invoke().exit_code == 0
    assert [message for message in caplog.messages if "line" in message] == ["line 0", "line 1", "line 2"]
    assert sum(handler.baseFilename in message for message in caplog.messages) == 1
    assert "Traceback" not in capsys.readouterr().err


def test_the_installed_command_has_the_other_commands_too(monkeypatch):
    from s10_pipeline.__main__ import main

    monkeypatch.setattr("sys.argv", ["s10-pipeline", "prune", "--help"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0


def test_kedro_viz_takes_our_runner_for_a_sequential_one():
    from kedro_viz.integrations.kedro.hooks_utils import is_sequential_runner

    from s10_pipeline.runner import Runner

    assert is_sequential_runner({"runner": str(Runner())})
