"""The scripts that judge recipes, on little data."""

import logging
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from click.testing import CliRunner
from kedro.config import OmegaConfigLoader

import ablations
import seeds
from s10_pipeline.cli import run
from s10_pipeline.configuration import CONFIG_LOADER_ARGS
from s10_pipeline.parameters import validate_parameters

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
CHANGES = [
    pytest.param(file.stem, changes, id=f"{file.stem}: {name}")
    for file in sorted((BENCHMARKS / "changes").glob("*.yml"))
    for name, changes in yaml.safe_load(file.read_text()).items()
]
SMALL = "ingest.shapes10.num_train_images=300,ingest.shapes10.num_test_images=60,lr_search.num_iterations=40"


@pytest.mark.parametrize(("env", "changes"), CHANGES)
def test_each_ablation_changes_its_recipe_to_a_valid_one(root, env, changes):
    loader = OmegaConfigLoader(str(root / "conf"), env=env, **CONFIG_LOADER_ARGS)
    recipe = dict(loader["parameters"])
    changed = ablations.changed(recipe, changes)
    assert validate_parameters(changed) != validate_parameters(recipe)


def test_what_a_recipe_has_anyway_is_not_trained_again(root):
    loader = OmegaConfigLoader(str(root / "conf"), env="seed", **CONFIG_LOADER_ARGS)
    changes = ablations.changes_of("seed")
    same = ablations.no_changes(dict(loader["parameters"]), changes)
    assert {"no annealing", "no Nesterov", "no warm-up", "weight decay 1e-3"} <= set(same)
    assert {"average of weights", "weight decay 2e-4", "label smoothing"} <= set(changes) - set(same)


def test_intervals_over_seeds():
    # Student's t for n = 4: 3.182; deviation of 1, 2, 3, 4: 1.291
    mean, deviation, half, further = seeds.spread([1.0, 2.0, 3.0, 4.0])
    assert (mean, deviation) == (2.5, pytest.approx(1.29099, abs=1e-4))
    assert half == pytest.approx(2.0543, abs=1e-3)
    assert further == pytest.approx(3.18245 * 1.29099 * (1 + 1 / 4) ** 0.5, abs=1e-3)


def test_mistakes_end_a_script(monkeypatch, capsys):
    with pytest.raises(SystemExit, match="train.eppchs: no such parameter"):
        ablations.changed({"train": {"epochs": 1}}, {"train.eppchs": 2})
    monkeypatch.setattr(sys, "argv", ["seeds.py", "sample", "--seeds", "0", "1", "0"])
    with pytest.raises(SystemExit):
        seeds.main()
    assert "each seed once" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("seconds", "times"),
    [
        # training and stages, all epochs, the command
        ((100.0, 120.0, 90.0, 130.0), "100 | 120 | 130"),
        ((100.0, 120.0, 90.0, None), "100 | 120 | found again"),
        ((40.0, 60.0, 90.0, 70.0), "resumed | resumed | resumed"),
        ((40.0, 60.0, 90.0, None), "resumed | resumed | found again"),
    ],
)
def test_a_training_that_went_on_tells_no_seconds(seconds, times):
    row = seeds.Trained(0, 0.1, 2, 80.0, 81.0, None, *seconds)
    assert seeds.table([row])[-1] == f"| 0 | 0.1 | 2 | 80.00 % | 81.00 % | - | {times} |"


@pytest.fixture
def page(tmp_path, monkeypatch, caplog):
    """Run a script here, and the runs of ``kedro`` that it starts; returns the page that it leaves."""

    def kedro(command, cwd, check):
        assert command[:4] == [sys.executable, "-m", "kedro", "run"]
        done = CliRunner().invoke(run, command[4:])
        assert done.exit_code == 0, done.output

    def call(script, *arguments: str) -> str:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", [script.__file__, *arguments, f"--results={tmp_path / 'results'}"])
        script.main()
        (found,) = (tmp_path / "results").iterdir()
        return found.read_text()

    monkeypatch.setenv("S10_DATA_ROOT", str(tmp_path / "data"))
    monkeypatch.setattr(seeds, "subprocess", SimpleNamespace(run=kedro))
    caplog.set_level(logging.getLogger("s10_pipeline").level, "s10_pipeline")  # ablations.py silences it
    return call


@pytest.mark.slow
def test_seeds_of_a_recipe(page):
    params = f"{SMALL},train.epochs=1,train.warmup_epochs=0,evaluate.test_time_flip=true"
    both = page(seeds, "sample", "--seeds", "0", "1", "--params", params)
    assert len(re.findall(r"^\| [01] \| 0\.\d+ \| 1 \| +\d", both, re.MULTILINE)) == 2
    assert re.search(r"Mean test accuracy: \*\*\d+\.\d\d\*\*.*\(n = 2\)", both)
    assert "Mean test accuracy with test-time flip" in both and "found again" not in both
    one = page(seeds, "sample", "--seeds", "1", "--params", *params.replace(",", ", ").split())
    assert one.count("found again") == 1
    figures = r"^\| 1 \|.*? % \| +\S+ % \| +\S+ % \|"
    assert re.search(figures, one, re.MULTILINE)[0] == re.search(figures, both, re.MULTILINE)[0]
    assert "n = 1 seed of" in one and re.search(r"^Test accuracy: \d+\.\d\d \(n = 1", one, re.MULTILINE)
    assert "Mean" not in one


@pytest.mark.slow
def test_ablations_of_a_recipe(page):
    given = [*SMALL.split(","), "train.epochs=1", "train.warmup_epochs=0", "train.anneal_epochs=1"]
    told = page(ablations, "sample", "--only", "label smoothing", "--seeds", "0", "1", "--params", *given)
    assert re.search(r"^\| the recipe as it is \| \d+\.\d\d % \| +\|", told, re.MULTILINE)
    assert re.search(r"^\| label smoothing \| \d+\.\d\d % \| [+-]\d+\.\d\d \(", told, re.MULTILINE)
