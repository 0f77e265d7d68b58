"""Start ``kedro`` processes by forking one that has already imported the project, because importing takes longest."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from typing import IO, Any


class Forked:
    """Replacement of ``subprocess.Popen`` for ``[python, "-m", "kedro", *arguments]``."""

    returncode: int | None = None

    def __init__(self, args: list[str], cwd: Any, env: dict[str, str], stdout: IO[Any] | int | None = None, **_: Any):
        import albumentations  # noqa: F401
        import torch
        from kedro.framework.cli import main
        from matplotlib import pyplot  # noqa: F401

        import s10_pipeline.cli  # noqa: F401

        torch.set_num_threads(1)
        self._output: Any = stdout if hasattr(stdout, "fileno") else tempfile.TemporaryFile()  # noqa: SIM115
        self.pid = os.fork()
        if self.pid:
            return
        code = 1
        try:
            os.setsid()
            os.chdir(cwd)
            os.environ.clear()
            os.environ.update(env)
            for number in (1, 2):
                os.dup2(self._output.fileno(), number)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            sys.argv = ["kedro", *args[3:]]
            main()
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)

    def poll(self) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        end = time.monotonic() + (timeout if timeout is not None else 1e9)
        while (code := self.poll()) is None:
            if time.monotonic() > end:
                raise subprocess.TimeoutExpired("kedro", timeout or 0)
            time.sleep(0.02)
        return code

    def communicate(self, timeout: float | None = None) -> tuple[str, None]:
        self.wait(timeout)
        self._output.seek(0)
        return self._output.read().decode(errors="backslashreplace"), None

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def begun(output: str) -> list[str]:
    """Return the names of the nodes that have begun: a line `3/13 name` for each."""
    return re.findall(r"^\d+/\d+ (\w+)$", output, re.MULTILINE)
