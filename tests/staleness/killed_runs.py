"""Kills runs of the small project for good, with SIGKILL, wherever they write; prints what the next runs did.

A program of its own, with a single thread, so that it can fork: ``killed_runs.py FOLDER``.
"""

import json
import os
import pickle
import shutil
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from small_project import SmallProject

from s10_pipeline.identity import digests

digests.SETTLED_SECONDS = float("inf")  # on a slow machine too no digest is remembered, so runs alone write


def forked(work):
    """Run in a process of its own; its result, or the signal that ended it."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        try:
            with os.fdopen(writing, "wb") as pipe:
                pickle.dump(work(), pipe)
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        content = pipe.read()
    _, status = os.waitpid(pid, 0)
    return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else pickle.loads(content)


def killed_at(project: SmallProject, number: int, where: str):
    """A forced run, killed at its ``number``-th flush (of a partial file) or rename (of a whole one)."""
    real, count = getattr(os, where), 0

    def deadly(*arguments):
        nonlocal count
        count += 1
        if count == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments)

    setattr(os, where, deadly)
    change(project)
    (project.data / "names.json").write_text('["z", "y"]')
    return project.run(force=True, run_id="2026-01-01T00.00.50.000Z")


def change(project: SmallProject) -> None:
    project.parameters |= {"source": {"path": None, "start": 8}, "fit": {"rate": 1, "epochs": 7, "device": "cpu"}}


def stored(project: SmallProject) -> dict[str, object]:
    return {name: project.stored(name) for name in ("raw", "table", "summary", "model", "score", "labels")}


def main(folder: Path) -> None:
    finished = SmallProject(folder / "finished").write()
    finished.run()
    whole = finished.copy_to(folder / "whole")
    forked(lambda: killed_at(whole, 0, "fsync"))
    expected = stored(whole)
    results = []
    for where in ("fsync", "replace"):
        for number in range(1, 100):
            project = finished.copy_to(folder / f"{where}-{number}")
            ended = forked(lambda p=project, n=number, w=where: killed_at(p, n, w))
            if ended != -signal.SIGKILL:
                break
            recorded = [p.parent.name for p in project.data.glob(".records/nodes/*/2026-01-01T00.00.50*.json")]

            def go_on(project=project):
                change(project)
                ran = project.run(run_id="2026-01-01T00.00.51.000Z")
                return ran, stored(project) == expected, project.run(run_id="2026-01-01T00.00.52.000Z")

            ran, same, again = forked(go_on)
            results.append({"at": f"{where} {number}", "recorded": recorded, "ran": ran, "same": same, "again": again})
            shutil.rmtree(project.folder)
    print(json.dumps(results))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
