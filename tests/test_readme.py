"""README's commands: run on small data, or only parsed where they need a network, a GPU, hours, or themselves."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from kedro.config import OmegaConfigLoader
from kedro.framework.project import configure_project
from PIL import Image

from s10_pipeline.cli import cli, run
from s10_pipeline.configuration import CONFIG_LOADER_ARGS
from s10_pipeline.parameters import validate_parameters

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
COMMANDS = [line.partition("  #")[0].strip() for block in BLOCKS for line in block.splitlines() if line.strip()]

# what is not run here, and why
NOT_RUN = {
    "make run": "would install; .ci/run and a person run it",
    "make test": "is what runs this test",
    "python3 -m venv": "installs",
    "-m pip install": "installs",
    "-m pytest": "is what runs this test",
    "kedro viz run": "serves until a person ends it",
}
SMALL = [
    "--params=ingest.shapes10.num_train_images=300,ingest.shapes10.num_test_images=60,train.architecture.width=4",
    "--params=lr_search.num_iterations=20,train.epochs=1",
]


def reason(command: str) -> str | None:
    return next((why for start, why in NOT_RUN.items() if start in command), None)


def kedro_runs() -> list[list[str]]:
    """Arguments of each ``kedro run``, without the program."""
    runs = [shlex.split(c) for c in COMMANDS if re.match(r"(\.venv/bin/)?kedro run", c)]
    inline = [shlex.split(c) for c in re.findall(r"`(kedro run [^`]*)`", TEXT)]
    return [arguments[2:] for arguments in runs + inline]


def test_every_command_is_run_or_has_a_reason():
    assert len(COMMANDS) > 15
    known = ("kedro run", ".venv/bin/kedro run", "kedro registry list")
    known += tuple(f"kedro {name}" for name in cli.commands)
    unknown = [c for c in COMMANDS if not reason(c) and not c.startswith(known)]
    assert not unknown


def test_make_targets_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make ([a-z-]+)", TEXT, re.MULTILINE))
    assert named
    assert named <= targets


@pytest.mark.parametrize("arguments", kedro_runs(), ids=" ".join)
def test_kedro_run_understands_each_command(arguments):
    # those of base, cpu and seed need a network or hours: options and parameters are checked, nothing is run
    arguments = [a for a in arguments if not a.startswith("--config")]
    options = run.make_context("run", arguments).params
    loader = OmegaConfigLoader(
        str(ROOT / "conf"), env=options["env"] or "base", runtime_params=options["params"], **CONFIG_LOADER_ARGS
    )
    assert validate_parameters(loader["parameters"])


@pytest.mark.parametrize("line", [c for c in COMMANDS if c.split()[1] in set(cli.commands) - {"run"}])
def test_other_commands_are_understood(line):
    _, name, *arguments = shlex.split(line)
    assert cli.commands[name].make_context(name, arguments)


@pytest.mark.slow
def test_commands_on_drawn_images_run(tmp_path):
    configure_project("s10_pipeline")
    images = tmp_path / "images"
    images.mkdir()
    Image.fromarray(np.zeros((40, 50, 3), np.uint8)).save(images / "black.png")
    config = tmp_path / "run.yml"
    config.write_text(re.search(r"```yaml\n(.*?)```", TEXT, re.DOTALL)[1])
    assert yaml.safe_load(config.read_text())["run"]["params"]["augment"]
    sample_runs = [arguments for arguments in kedro_runs() if "--env=sample" in arguments]
    assert len(sample_runs) >= 6
    for arguments in sample_runs:
        given = [a.replace("=DIR", f"={images}").replace("run.yml", str(config)) for a in arguments]
        # a file of parameters is replaced by parameters on the command line, so it runs at its own size
        small = [] if any(a.startswith("--config") for a in given) else SMALL
        to = ["--to-nodes=build_augmented_datasets"] if not small else []
        result = CliRunner(env={"S10_DATA_ROOT": str(tmp_path / "data")}).invoke(run, [*given, *small, *to])
        assert result.exit_code == 0, (arguments, result.output, result.exception)


def test_registry_list_lists_the_stages():
    result = subprocess.run(
        [sys.executable, "-m", "kedro", "registry", "list"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for stage in ("data", "lr_search", "training", "evaluation", "explain", "predict"):
        assert f"- {stage}" in result.stdout
