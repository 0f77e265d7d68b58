"""Wrong input through the command line: one line with the remedy, non-zero exit, nothing stored lost."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from kedro.framework.project import configure_project

from s10_pipeline.cli import run
from s10_pipeline.vision import device
from s10_pipeline.vision.network.classifier import classifier_to_bytes

TINY = "--params=ingest.shapes10.num_train_images=100,ingest.shapes10.num_test_images=20,train.batch_size=16"


@pytest.fixture
def fail(root, tmp_path):
    """Run, expect failure; returns the one line that says why."""

    def run_and_fail(*arguments: str) -> str:
        configure_project("s10_pipeline")
        result = CliRunner(env={"S10_DATA_ROOT": str(tmp_path / "data")}).invoke(run, arguments)
        assert result.exit_code not in (0, None)
        assert isinstance(result.exception, SystemExit), result.exception
        last = result.output.rstrip().splitlines()[-1]
        assert last.startswith("Error: ")
        return last

    return run_and_fail


@pytest.fixture
def stored_model(tmp_path, classifier):
    """The file of a model that the environment ``sample`` has, of a network of depth 8."""
    model = tmp_path / "data/sample/06_models/model.safetensors/2026-01-01T00.00.00.000Z/model.safetensors"
    model.parent.mkdir(parents=True)
    model.write_bytes(classifier_to_bytes(classifier))
    return model


LAYER = "--params=explain.layer=layer2+layer4"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--params=train.epochs=many"], "train.epochs=many: must be a valid integer"),
        (["--pipeline=predict", "--params=trian.lr=9"], "trian: no such group"),
        (["--params=ingest.shortcut=cirle"], "ingest.shortcut=cirle: "),
        ([LAYER], "explain.layer=layer4: a network of depth 8 has layer1, layer2, layer3, but"),
        (["--pipelines=data,lr_search,training,predict", LAYER], "explain.layer=layer4: a network of depth 8 has "),
        (["--params=train.device=gpu"], "train.device=gpu: not a device"),
        (["--params=train.device=cuda:7"], "train.device=cuda:7: torch sees no CUDA GPU here"),
        (["--params=train.device=mps"], "train.device=mps: torch sees no Apple GPU"),
        (["--params=train.device=cpu:1"], "train.device=cpu:1: not a device"),
        (["--params=train.precision=fp16,train.device=cpu"], "train.precision=fp16: needs a CUDA GPU"),
        (["--params=train.pretrained.path=none.pth"], "train.pretrained.path=none.pth: No such file"),
        (["--pipeline=data", "--pipelines=training"], "--pipeline, --pipelines: only one of them may be given; use"),
        (["--pipeline=explian"], "--pipeline=explian: no such pipeline; did you mean explain?"),
        (["--env=smaple"], "--env=smaple: no such environment; did you mean sample?"),
        (["--load-versions=modle:2026"], "modle"),
        (["--load-versions=model"], "'dataset_name:YYYY-MM-DDThh.mm.ss.sssZ',found model instead; kedro run --help"),
        (["--load-versions=model:../x"], "'../x' is not allowed"),
        (["--load-versions=model:2026"], "--load-versions=model:2026: this run makes model anew; choose stages"),
        (["--pipeline=explain", "--load-versions=model:2026"], "--load-versions=model:2026: no such version"),
    ],
)
def test_mistakes_are_told_before_anything_runs(fail, tmp_path, monkeypatch, arguments, message):
    monkeypatch.setattr(device, "_cuda_is_usable", lambda: False)
    monkeypatch.setattr(device, "NVIDIA_CARDS", tmp_path / "none")
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    assert message in fail("--env=sample", TINY, *arguments)
    assert not list(tmp_path.glob("data/sample/0*"))


@pytest.mark.parametrize("pipeline", ["explain", "predict"])
def test_a_layer_that_the_stored_model_lacks_is_told_before_anything_runs(fail, stored_model, pipeline, monkeypatch):
    monkeypatch.setattr("s10_pipeline.datasets.atomic.AtomicDataset._exists", lambda _: True)
    monkeypatch.setattr("s10_pipeline.datasets.atomic.AtomicDataset._load", lambda _: pytest.fail("read"))
    params = f"--params=explain.layer=layer2+layer4,predict.path={stored_model.parent}"
    assert "explain.layer=layer4: a network of depth 8 has" in fail("--env=sample", f"--pipeline={pipeline}", params)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("run: {params: {augment: {train: [{Cutuot: {size: 8}}]}}}", "augment.train=Cutuot: albumentations has no"),
        ("run: {params: {train: {epochs: 0}}}", "train.epochs"),
        ("run: {params: {train: {epochs: '${nobody}'}}}", "nobody"),
        ("run: {a: 1", "line 1"),
        *((text, "run.yml") for text in (
            "", "[1, 2]", "run", "run:", "run: [1]", "params: {train: {epochs: 2}}", "run: {params: [1]}",
            "run: {params: a.b=1}", "\0", "run: !!python/name:os.system")),
    ],
)  # fmt: skip
def test_a_wrong_file_of_parameters_is_told_before_anything_runs(fail, tmp_path, content, message):
    (tmp_path / "run.yml").write_text(content)
    assert message in fail("--env=sample", f"--config={tmp_path}/run.yml")
    assert not list(tmp_path.glob("data/sample/0*"))


def test_explain_before_a_model_names_environments_that_have_one(fail, request):
    assert "kedro run --env=base" in fail("--pipeline=explain")
    request.getfixturevalue("stored_model")
    assert "model: environment cpu " in fail("--env=cpu", "--pipeline=explain")
    assert ": --env=sample" in fail("--env=cpu", "--pipeline=explain")


def test_an_environment_variable_that_names_no_environment(fail, monkeypatch, root):
    monkeypatch.setenv("KEDRO_ENV", "smaple")
    monkeypatch.chdir(root / "src")
    assert "KEDRO_ENV=smaple: no such environment; did you mean sample?" in fail()


def test_a_configuration_file_that_is_not_yaml(fail, tmp_path):
    conf = tmp_path / "conf"
    shutil.copytree("conf", conf)
    (conf / "sample/parameters_training.yml").write_text("train: [1, 2")
    line = fail("--env=sample", f"--conf-source={conf}")
    assert "conf/sample/parameters_training.yml" in line
    assert "line 0" in line or "line 1" in line


@pytest.mark.parametrize(
    ("place", "make"),
    [
        ("data", Path.touch),
        ("data/sample/06_models/provenance.json", Path.touch),
        ("data", lambda path: path.symlink_to("/proc/nowhere")),
        ("data/sample/06_models", lambda path: path.symlink_to(path)),
        ("data/sample/08_reporting/report.html", lambda path: path.symlink_to("/proc/nowhere")),
    ],
)
def test_what_cannot_be_written_is_told_before_anything_runs(fail, tmp_path, place, make):
    (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
    make(tmp_path / place)
    line = fail("--env=sample", TINY)
    assert line.startswith(f"Error: {tmp_path / place}: ") and "S10_DATA_ROOT" in line
    assert not list(tmp_path.glob("data/sample/02_intermediate"))


def test_a_truncated_model_is_one_line(fail, tmp_path, stored_model):
    stored_model.write_bytes(stored_model.read_bytes()[:5000])
    line = fail("--env=sample", "--pipeline=predict", f"--params=predict.path={tmp_path}")
    assert "model.safetensors: " in line and "train one" in line


def test_images_are_still_readable_after_a_failed_run(fail, tmp_path):
    arrays = tmp_path / "data/sample/02_intermediate/arrays"
    assert "train.batch_size=99: only 90 " in fail("--env=sample", TINY, "--params=train.batch_size=99")
    before = sorted((p.name, p.stat().st_mtime_ns) for p in arrays.iterdir())
    assert before
    fail("--env=sample", TINY, "--params=train.batch_size=98")
    assert sorted((p.name, p.stat().st_mtime_ns) for p in arrays.iterdir()) == before
    assert np.load(arrays / before[0][0], allow_pickle=False) is not None
