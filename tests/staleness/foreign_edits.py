"""The table of edits in a foreign project that holds copies of the two folders; prints which nodes ran after each.

A program of its own, where nothing else of this project can be imported: ``foreign_edits.py FOLDER``.
"""

import json
import sys
from pathlib import Path

sys.modules["s10_pipeline"] = None  # type: ignore[assignment]
sys.path.insert(0, str(Path(__file__).parent))
from edits import DECIDING, HARMLESS  # noqa: E402
from small_project import ALL, SmallProject  # noqa: E402


def main(folder: Path) -> None:
    finished = SmallProject(folder / "finished", home="small").write()
    assert finished.run() == ALL
    assert finished.run() == []
    results = {}
    for number, (name, (file, old, new, *_)) in enumerate({**HARMLESS, **DECIDING}.items()):
        project = finished.copy_to(folder / str(number))
        before = (project.package / file).read_text()
        project.edit(file, old, new)
        ran = project.run()
        (project.package / file).write_text(before)
        results[name] = ran, project.run()
    print(json.dumps(results))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
