"""Two runs of the small project at once, with other parameters; ``runs_at_once.py FOLDER``, prints what each left."""

import json
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from small_project import ALL, SmallProject


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline, path
        time.sleep(0.005)


def in_step(folder: Path, mine: str, other: str) -> None:
    """Before each save, wait until the other run has got as far: the two are always in the same stage."""
    from s10_pipeline.datasets import atomic

    real, count = atomic.replacing, 0

    def waiting(path: Path):
        nonlocal count
        count += 1
        (folder / f"{mine}-{count}").touch()
        wait_for(folder / f"{other}-{count}")
        return real(path)

    atomic.replacing = waiting


def main(folder: Path) -> None:
    project = SmallProject(folder / "project").write()
    steps = folder / "steps"
    steps.mkdir()
    runs = {"a": ("2026-01-01T00.00.00.001Z", 10), "b": ("2026-01-01T00.00.00.002Z", 500)}
    children = {}
    for mine, other in (("a", "b"), ("b", "a")):
        children[mine] = os.fork()
        if children[mine] == 0:
            run_id, start = runs[mine]
            project.parameters["source"]["start"] = start
            in_step(steps, mine, other)
            os._exit(0 if project.run(force=True, run_id=run_id) == ALL else 1)
    assert all(os.waitpid(pid, 0)[1] == 0 for pid in children.values())
    left = {
        m: {n: project.stored(n, run_id) for n in ("raw", "table", "model", "score")} for m, (run_id, _) in runs.items()
    }
    again = {}
    for mine, (_, start) in runs.items():
        project.parameters["source"]["start"] = start
        again[mine] = project.run(run_id=f"2026-01-01T00.00.01.00{start % 7}Z")
    print(json.dumps({"left": left, "again": again}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
