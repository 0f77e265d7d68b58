"""The small project of docs/kedro-answers.md, assembled from the page and from what staleness/README.md says to add."""

import importlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from kedro.io import Version

BLOCK = re.compile(r"^`([\w/.]+)`\n\n```\w+\n(.*?)```", re.DOTALL | re.MULTILINE)
ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/kedro-answers.md").read_text(encoding="utf-8")
ADDED = dict(BLOCK.findall((ROOT / "src/s10_pipeline/staleness/README.md").read_text(encoding="utf-8")))
TRAIN = {"epochs": 4, "lr": 0.1, "seed": 3}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """The folder of the project; its package can be imported."""
    files = {
        "pyproject.toml": '[tool.kedro]\npackage_name = "yours"\nproject_name = "y"\nkedro_init_version = "1.7.0"\n',
        "conf/local/catalog.yml": "",
        "src/yours/__init__.py": "",
        "src/yours/settings.py": "",
        **ADDED,
        **dict(BLOCK.findall(PAGE)),
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    for name in ("identity", "staleness"):
        shutil.copytree(ROOT / "src/s10_pipeline" / name, tmp_path / "src/yours" / name)
    x = np.random.default_rng(0).normal(size=60)
    (tmp_path / "data/01_raw").mkdir(parents=True)
    pd.DataFrame({"x": x, "y": (x > 0.2).astype(int)}).to_csv(tmp_path / "data/01_raw/table.csv", index=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path / "src")
    yield tmp_path
    for name in [name for name in sys.modules if name.partition(".")[0] == "yours"]:
        del sys.modules[name]


def test_each_answer_is_short():
    questions = PAGE.split("\n## ")[1:]
    assert len(questions) == 5
    for question in questions:
        lines = [line for block in re.findall(r"```\w+\n(.*?)```", question, re.DOTALL) for line in block.splitlines()]
        assert len([line for line in lines if line.strip()]) <= 30, question.partition("\n")[0]


def test_an_interrupted_training_resumes_and_ends_with_the_same_weights(project, monkeypatch):
    checkpoints, nodes = (importlib.import_module(f"yours.{name}") for name in ("checkpoints", "nodes"))
    table = pd.read_csv("data/01_raw/table.csv")
    undisturbed = nodes.train(table, checkpoints.CheckpointsDataset("one").load(), TRAIN)
    store, save = checkpoints.CheckpointsDataset("two").load(), checkpoints.Checkpoints.save

    def interrupt(self, state):
        if state["epoch"] == 3:
            raise KeyboardInterrupt
        save(self, state)

    monkeypatch.setattr(checkpoints.Checkpoints, "save", interrupt)
    with pytest.raises(KeyboardInterrupt):
        nodes.train(table, store, TRAIN)
    saved = []
    monkeypatch.setattr(checkpoints.Checkpoints, "save", lambda self, state: saved.append(state["epoch"]))
    resumed = nodes.train(table, store, TRAIN)
    assert saved == [3, 4]
    for name, weights in undisturbed.state_dict().items():
        assert torch.equal(weights, resumed.state_dict()[name]), name
    nodes.train(table, store, {**TRAIN, "lr": 0.2})
    assert saved == [3, 4, 1, 2, 3, 4]


def test_the_model_file_is_enough(project):
    model = importlib.import_module("yours.model")
    made = model.Model({"mean": 0.5, "train": TRAIN})
    for version in ("1", "2"):
        model.ModelDataset("model.safetensors", Version(None, version)).save(made)
    one, two = (project / "model.safetensors" / version / "model.safetensors" for version in ("1", "2"))
    assert one.read_bytes() == two.read_bytes()
    loaded = model.ModelDataset("model.safetensors", Version("1", None)).load()
    assert loaded.about == made.about and torch.equal(loaded(torch.ones(1, 1)), made(torch.ones(1, 1)))


def test_mcnemar(project):
    mcnemar = importlib.import_module("yours.compare").mcnemar
    assert mcnemar([True] * 6 + [False], [False] * 6 + [False]) == pytest.approx(2 / 2**6)
    assert mcnemar([True, False], [True, False]) == 1


@pytest.mark.slow
def test_the_transcript_is_what_the_commands_say_and_a_foreign_project_knows_what_is_stale(project):
    def kedro(*arguments: str) -> str:
        command = [sys.executable, "-m", "kedro", *arguments]
        told = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=180)
        assert told.returncode == 0, told.stdout + told.stderr
        return told.stdout

    (transcript,) = re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)
    environment = {**os.environ, "PYTHONPATH": str(project / "src"), "COLUMNS": "200", "PYTHONWARNINGS": "ignore"}
    (project / "src/s10_pipeline.py").write_text('raise ImportError("a foreign project has no s10_pipeline")')
    for step in transcript.split("$ kedro ")[1:]:
        command, *expected = step.splitlines()
        told = kedro(*command.split())
        assert expected
        for line in expected:
            assert line in told, (command, told)
    table = importlib.import_module("yours.compare").compare()
    assert list(table["lr"]) == [0.1, 0.5] and "seed" not in table

    assert len(ADDED) == 3
    assert sum(bool(line) for text in ADDED.values() for line in text.splitlines()) <= 20
    runner = (project / "src/yours/runner.py").read_text()
    assert runner.replace(', harmless_inputs=("checkpoints",)', "") == ADDED["src/yours/runner.py"]
    nodes, models = project / "src/yours/nodes.py", project / "data/06_models/model.safetensors"
    nodes.write_text("# of one table\n" + nodes.read_text().replace("float(right.mean())", "1.0 * right.mean()"))
    states = dict(re.findall(r"^(\w+) +(up to date|runs|waits) ", kedro("stages"), re.MULTILINE))
    assert states == {"train": "up to date", "judge": "runs"}
    (project / "conf/base/parameters.yml").write_text("train: {epochs: 5, lr: 0.4, seed: 0}\n")
    told = kedro("run", "--only-missing-outputs")
    assert re.search("train: runs, train.lr 0.. -> 0.4", told) and re.search("judge: runs, .*code of nodes.judge", told)
    told = kedro("lineage", "metrics")
    assert all(part in told for part in ("by judge", "by train", "train.lr=0.4"))
    assert len(list(models.iterdir())) == 3
    kedro("prune", "--keep-last=1", "--apply")
    assert len(list(models.iterdir())) == 1
    assert "0 of 2 nodes ran" in kedro("run", "--only-missing-outputs")
