"""Commands and programs of README and docs/: run on small data, or only parsed where they need a network, a GPU, hours,
or themselves. test_kedro_answers.py runs the programs of kedro-answers.md; that of orchestrators.md needs Dagster.
test_on_epoch.py runs those of logging.md.
"""

import re
import shlex
import sys
from pathlib import Path
from string import Template

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
from s10_pipeline.vision.export.onnx_file import to_onnx
from s10_pipeline.vision.network.classifier import classifier_to_bytes
from s10_pipeline.vision.predict import predictor
from s10_pipeline.vision.predict.params import PredictParams
from s10_pipeline.vision.training.model import build_classifier

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/*.md"))]
TEXTS = {page.name: page.read_text(encoding="utf-8") for page in PAGES}
TEXT = "\n".join(TEXTS.values())
BLOCKS = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
PROGRAMS = {
    name: programs
    for name, text in TEXTS.items()
    if name not in ("kedro-answers.md", "logging.md", "orchestrators.md")
    and (programs := re.findall(r"```python\n(.*?)```", text, re.DOTALL))
}
(READ_REPORT,), (USE_MODEL,), (SERVE_ONNX,) = (PROGRAMS[f"{name}.md"] for name in ("report", "predict", "export"))
EXPORTED = dict(
    pair for line in re.findall("export (.*)", "".join(BLOCKS)) for pair in re.findall(r"(\w+)=(\S+)", line)
)
COMMANDS = [
    Template(line.partition("  #")[0].strip()).safe_substitute(EXPORTED)
    for block in BLOCKS
    for line in block.splitlines()
    if line.strip()
]

# what is not run here, and why
NOT_RUN = {
    "make run": "would install; .ci/run and a person run it",
    "make test": "is what runs this test",
    "make install": "installs",
    "make lint": ".ci/run runs it",
    "make docs": "test_pages.py runs its script",
    ".ci/run": "is what runs this test",
    ".venv/bin/pre-commit": "changes the checkout",
    ". .venv/bin/activate": "changes the shell",
    "python3 -m venv": "installs",
    "pip install": "installs",
    "# on": "tells where the next lines are typed",
    "python -m s10_pipeline join": "joins another host's run; vision/distributed/test_hosts.py does so",
    "export ": "changes the shell; commands after it get its values here too",
    "mv ~/Downloads": "moves a file that a browser downloaded",
    "ingest.corrections": "needs choices made in a page; test_end_to_end.py clicks them",
    "kedro airflow": "a command of a plug-in that is not installed here",
    "kedro mlflow": "a command of a plug-in that is not installed here",
    "conf/base/mlflow.yml": "writes a file that this plug-in reads",
    "-m pytest": "is what runs this test",
    "python benchmarks/": "takes hours; tests/benchmarks runs them on less",
    "kedro viz run": "serves until a person ends it",
}
SMALL = [
    "--params=ingest.shapes10.num_train_images=300,ingest.shapes10.num_test_images=60,train.architecture.width=4",
    "--params=lr_search.num_iterations=20,train.epochs=1,train.warmup_epochs=0,explain.num_images=5",
]


def reason(command: str) -> str | None:
    return next((why for start, why in NOT_RUN.items() if start in command), None)


def kedro_runs() -> list[list[str]]:
    """Arguments of each different ``kedro run``, without the program."""
    runs = [c.removeprefix(".venv/bin/") for c in COMMANDS] + re.findall(r"`(kedro run [^`]*)`", TEXT)
    return [shlex.split(c)[2:] for c in dict.fromkeys(runs) if c.startswith("kedro run")]


def test_every_command_is_run_or_has_a_reason():
    assert len(COMMANDS) > 45
    known = ("kedro run", ".venv/bin/kedro run", "kedro registry list")
    known += tuple(f"kedro {name}" for name in cli.commands)
    unknown = [c for c in COMMANDS if not reason(c) and not c.startswith(known)]
    assert not unknown and PROGRAMS.keys() == {"report.md", "predict.md", "export.md"}


def test_figures_are_there_and_small():
    figures = [page.parent / name for page in PAGES for name in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", page.read_text())]
    assert {figure.resolve() for figure in figures} == {*ROOT.glob("docs/images/*.png")}
    for figure in figures:
        assert 5_000 < figure.stat().st_size < 400_000, figure


def test_make_targets_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make ([a-z-]+)", TEXT, re.MULTILINE))
    assert named and named <= targets


@pytest.mark.parametrize("arguments", kedro_runs(), ids=" ".join)
def test_kedro_run_understands_each_command(arguments):
    # those of base, cpu and seed need a network or hours: options and parameters are checked, nothing is run
    arguments = [a for a in arguments if not a.startswith("--config")]
    options = run.make_context("run", arguments).params
    loader = OmegaConfigLoader(
        str(ROOT / "conf"), env=options["env"] or "base", runtime_params=options["params"], **CONFIG_LOADER_ARGS
    )
    assert validate_parameters(loader["parameters"])


@pytest.mark.parametrize("line", [c for c in COMMANDS if re.match("kedro (?!run|registry)", c) and not reason(c)])
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
    sample_runs = [a for a in kedro_runs() if "--env=sample" in a and not reason(" ".join(a))]
    assert len(sample_runs) >= 12
    for arguments in sample_runs:
        given = [a.replace("=DIR", f"={images}").replace("run.yml", str(config)) for a in arguments]
        # a file of parameters is replaced by parameters on the command line, so it runs at its own size
        small = [] if any(a.startswith("--config") for a in given) else SMALL
        # a fault planted alone is only planted: what the verdicts make of each one has tests of its own
        planted_alone = re.search(r"ingest\.plant=[^+]+$", " ".join(arguments))
        to = ["--to-nodes=build_augmented_datasets"] if not small or planted_alone else []
        result = CliRunner(env={"S10_DATA_ROOT": str(tmp_path / "data")}).invoke(run, [*given, *small, *to])
        assert result.exit_code == 0, (arguments, result.output, result.exception)
    report = max((tmp_path / "data/sample/08_reporting/report.html").glob("*/report.html"))
    names: dict = {}
    exec(re.sub(r'Path\("[^"]*"\)', f"Path({str(report)!r})", READ_REPORT), names)
    assert 0 <= names["facts"]["metrics"]["test_accuracy"] <= 1


def save_awkward_images(folder: Path) -> None:
    rng = np.random.default_rng(0)
    rgba = Image.fromarray(rng.integers(0, 256, (60, 90, 4), np.uint8))
    rgb, grey = rgba.convert("RGB"), rgba.convert("L")
    for orientation in (3, 6):
        turned = Image.Exif()
        turned[0x0112] = orientation
        rgb.save(folder / f"turned-{orientation}.jpg", exif=turned)
        rgba.save(folder / f"turned-{orientation}.png", exif=turned)
    rgba.save(folder / "transparent.png")
    rgba.convert("LA").save(folder / "transparent-grey.png")
    grey.save(folder / "one-grey-level-transparent.png", transparency=128)
    rgb.quantize(64).save(folder / "palette-transparent.png", transparency=bytes(range(0, 256, 4)))
    rgb.quantize(64).save(folder / "palette.gif", transparency=3)
    for size, name in (((60, 90), "sixteen-bits.png"), ((60, 90), "a.pgm"), ((32, 32), "of-the-models-size.tif")):
        Image.fromarray(rng.integers(0, 65536, size, np.uint16)).save(folder / name)
    rgb.convert("CMYK").save(folder / "cmyk.jpg")
    grey.convert("1").save(folder / "bits.png")


@pytest.fixture(scope="module")
def served(data, tiny, tmp_path_factory):
    """A folder with the model in both forms and images; what ``predict`` says about them."""
    folder = tmp_path_factory.mktemp("served")
    model = build_classifier(data.train_images, data.train_set, tiny)
    (folder / "model.safetensors").write_bytes(classifier_to_bytes(model))
    (folder / "model.onnx").write_bytes(to_onnx(model))
    (folder / "images").mkdir()
    save_awkward_images(folder / "images")
    table, _ = predictor.predict_images(model, PredictParams(path=str(folder / "images")), device="cpu")
    assert table["error"].isna().all()
    return folder, table


@pytest.mark.parametrize("lines", [USE_MODEL, SERVE_ONNX], ids=["model file", "onnx"])
def test_the_lines_that_use_the_model_say_what_predict_says(served, lines, monkeypatch, capsys):
    folder, table = served
    monkeypatch.chdir(folder / "images")
    for file, name, confidence in table[["file", "prediction_name", "confidence"]].itertuples(index=False):
        monkeypatch.setattr(sys, "argv", ["serve.py", file])
        exec(lines.replace('"model.', '"../model.').replace("image.jpg", file), {})
        *words, probability = capsys.readouterr().out.split()
        assert words == [*([file] if lines == SERVE_ONNX else []), name], file
        assert float(probability) == pytest.approx(confidence, abs=1e-6), file


def test_the_lines_that_serve_need_neither_torch_nor_this_project():
    lines = [line for line in SERVE_ONNX.splitlines() if line.strip()]
    assert len(lines) <= 20 and "torch" not in SERVE_ONNX
    assert "s10_pipeline" not in SERVE_ONNX
