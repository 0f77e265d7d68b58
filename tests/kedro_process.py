"""``kedro`` in processes of its own: forked from one that has imported what takes long, ten seconds for each.

On systems that can fork. Each is a session of its own, as a terminal gives: Ctrl-C goes to all its processes, which do
not ignore it even where the tests were started in the background.
"""

import importlib
import multiprocessing
import os
import runpy
import signal
import sys
import time
from pathlib import Path

# nothing of this project, whose modules tests/faults patches as they are imported
HEAVY = ["torch._dynamo", "torchvision", "albumentations", "pandas", "matplotlib.figure", "kedro.framework.cli.project"]


class KedroProcess:
    """``python -m kedro`` in a folder; what it prints goes into files of ``output``."""

    def __init__(self, folder: Path, output: Path, *arguments: str, environment: dict[str, str]) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(HEAVY)
        self._output = output
        output.mkdir(exist_ok=True)
        self._process = context.Process(target=_become_kedro, args=(folder, output, arguments, environment))
        self._process.start()
        self.pid, self.kill, self.terminate = self._process.pid, self._process.kill, self._process.terminate

    def is_alive(self) -> bool:
        return self._process.is_alive()

    def wait(self, seconds: float = 500) -> tuple[int, str, str]:
        """Its exit code (negative: the signal that killed it), and what it printed to stdout and stderr."""
        self._process.join(seconds)
        assert not self._process.is_alive(), "it never ended"
        return self._process.exitcode, *((self._output / name).read_text() for name in ("stdout", "stderr"))


def _become_kedro(folder: Path, output: Path, arguments: tuple[str, ...], environment: dict[str, str]) -> None:
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, name in enumerate(("stdout", "stderr"), start=1):
        os.dup2(os.open(output / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    os.chdir(folder)
    os.environ |= environment
    multiprocessing.set_start_method(None, force=True)  # of its own children: the system's, as in any program
    # what Python does at its start
    sys.path[:0] = environment["PYTHONPATH"].split(os.pathsep)
    sys.modules.pop("sitecustomize", None)
    importlib.import_module("sitecustomize")
    sys.argv = ["kedro", *arguments]
    runpy.run_module("kedro", run_name="__main__", alter_sys=True)


def wait_for(happened, seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)
