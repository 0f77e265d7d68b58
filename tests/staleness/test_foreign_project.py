"""The two folders in projects that are not this one."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

NODES = """
import pandas as pd

from . import words

def clean(raw):
    return raw.dropna()

def fit(table, fit):
    return {"mean": float(table["x"].mean()) * fit["rate"]}

def judge(model, table):
    return {"text": words.describe(model["mean"]), "rows": len(table)}
"""
REGISTRY = """
from kedro.pipeline import Pipeline, node

from . import nodes

def register_pipelines():
    line = Pipeline([
        node(nodes.clean, "raw", "table", name="clean"),
        node(nodes.fit, ["table", "params:fit"], "model", name="fit"),
        node(nodes.judge, ["model", "table"], "verdict", name="judge"),
    ])
    return {"__default__": line}
"""
CATALOG = """
raw: {type: pandas.CSVDataset, filepath: data/raw.csv}
table: {type: pandas.CSVDataset, filepath: data/table.csv, versioned: true, save_args: {index: false}}
model: {type: pickle.PickleDataset, filepath: data/model.pkl, versioned: true}
verdict: {type: json.JSONDataset, filepath: data/verdict.json, versioned: true}
"""
FILES = {
    "pyproject.toml": '[tool.kedro]\npackage_name = "yours"\nproject_name = "yours"\nkedro_init_version = "1.7.0"\n',
    "data/raw.csv": "x\n1\n\n3\n",
    "conf/local/catalog.yml": "",
    "conf/base/parameters.yml": "fit: {rate: 2}\n",
    "conf/base/catalog.yml": CATALOG,
    "src/yours/__init__.py": "",
    "src/s10_pipeline.py": 'raise ImportError("a foreign project has no s10_pipeline")\n',
    "src/yours/settings.py": "",
    "src/yours/nodes.py": NODES,
    "src/yours/words.py": 'def describe(mean):\n    return f"mean {mean}"\n',
    "src/yours/pipeline_registry.py": REGISTRY,
}


@pytest.fixture
def foreign(root, tmp_path):
    """A Kedro project with plain datasets and what README.md says to add."""
    ours = root / "src" / "s10_pipeline"
    readme = (ours / "staleness" / "README.md").read_text(encoding="utf-8")
    added = dict(re.findall(r"^`([\w/.]+)`\n\n```\w+\n(.*?)```", readme, re.DOTALL | re.MULTILINE))
    assert len(added) == 3
    assert sum(bool(line) for text in added.values() for line in text.splitlines()) <= 20
    for name, text in FILES.items() | added.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:  # the catalog has both
            file.write(text)
    for name in ("identity", "staleness"):
        shutil.copytree(ours / name, tmp_path / "src/yours" / name, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def kedro(folder: Path, *arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(folder / "src"), "COLUMNS": "200", "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-m", "kedro", *arguments]
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def states(folder: Path) -> dict[str, str]:
    found = re.findall(r"^(\w+) +(up to date|runs|waits) ", kedro(folder, "stages"), re.MULTILINE)
    return dict(found)


@pytest.mark.slow
def test_what_the_readme_says_makes_another_project_notice_what_is_stale(foreign):
    assert "3 of 3 nodes ran" in kedro(foreign, "run")
    assert states(foreign) == dict.fromkeys(("clean", "fit", "judge"), "up to date")
    words = foreign / "src/yours/words.py"
    words.write_text("# of one number\n" + words.read_text().replace("mean {", "the mean {"))
    told = kedro(foreign, "run", "--only-missing-outputs")
    assert "judge: runs, code of words.describe" in told
    assert "1 of 3 nodes ran, 2 up to date" in told
    (foreign / "conf/base/parameters.yml").write_text("fit: {rate: 3}\n")
    assert states(foreign) == {"clean": "up to date", "fit": "runs", "judge": "waits"}
    told = kedro(foreign, "run", "--only-missing-outputs", "--params=fit.rate=2", "--params=fit.rate=4")
    assert "fit: runs, fit.rate 2 -> 4" in told
    told = kedro(foreign, "lineage", "verdict")
    for part in ("by judge", "by fit", "by clean", "fit.rate=4"):
        assert part in told
    assert len(list((foreign / "data/model.pkl").iterdir())) == 2
    kedro(foreign, "prune", "--keep-last=1", "--apply")
    assert len(list((foreign / "data/model.pkl").iterdir())) == 1
    assert "0 of 3 nodes ran" in kedro(foreign, "run", "--only-missing-outputs", "--params=fit.rate=4")
