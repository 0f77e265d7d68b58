"""Whole runs of ``kedro run`` through the command line, on drawn images and small files."""

import json
import os
import re
import shutil
import typing
import warnings
from pathlib import Path

import fsspec
import nbformat
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from kedro.framework.project import configure_project
from kedro.framework.session import KedroSession
from kedro.io.core import Version
from nbclient import NotebookClient
from PIL import Image

from kedro_process import wait_for
from s10_pipeline.cli import cli
from s10_pipeline.datasets.image_set import ImageSetDataset
from s10_pipeline.pipeline_registry import register_pipelines
from s10_pipeline.staleness.records import RecordStore
from s10_pipeline.vision.data.image_set import ImageSet
from s10_pipeline.vision.evaluation.verdict import KINDS

# the sample environment, smaller still
SMALL = (
    "--env=sample",
    "--params=ingest.shapes10.num_train_images=400,ingest.shapes10.num_test_images=120",
    "--params=train.epochs=2,train.batch_size=8,train.architecture.width=4",
)


def command(data_root: Path | str, *arguments: str, code: int = 0) -> str:
    """What a command of this project prints, run in this process with its artifacts below ``data_root``."""
    configure_project("s10_pipeline")
    result = CliRunner(env={"S10_DATA_ROOT": str(data_root)}).invoke(cli, arguments)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.output


def kedro(data_root: Path | str, *arguments: str, code: int = 0) -> str:
    return command(data_root, "run", *arguments, code=code)


def newest(data_root: Path, name: str, env: str = "sample") -> Path:
    versions = sorted((data_root / env).glob(f"*/{name}/*/{name}"))
    assert versions, f"{name} was never saved"
    return versions[-1]


def load_images(folder: Path, name: str = "train_images") -> ImageSet:
    return ImageSetDataset(filepath=f"{folder}/02_intermediate/{name}.json", version=Version(None, None)).load()


def num_bytes(folder: Path) -> int:
    return sum(f.stat().st_size for f in folder.iterdir())


@pytest.fixture(scope="module")
def finished(root, tmp_path_factory):
    data_root = tmp_path_factory.mktemp("data")
    kedro(data_root, *SMALL)
    return data_root


@pytest.fixture
def copied(finished, tmp_path):
    return Path(shutil.copytree(finished, tmp_path / "data"))


def test_figures_agree_with_each_other(finished):
    metrics = json.loads(newest(finished, "metrics.json").read_text())
    predictions = pd.read_parquet(newest(finished, "test_predictions.parquet"))
    history = pd.read_csv(newest(finished, "training_history.csv"))
    provenance = json.loads(newest(finished, "provenance.json").read_text())
    assert metrics["test_accuracy"] == (predictions["label"] == predictions["prediction"]).mean()
    assert 0.05 <= metrics["temperature"] <= 20
    classes = pd.read_parquet(newest(finished, "class_metrics.parquet"))
    assert dict(zip(classes["class_name"], classes["recall"], strict=True)) == metrics["per_class_accuracy"]
    check = json.loads(newest(finished, "cam_check.json").read_text())
    wrong = int((predictions["label"] != predictions["prediction"]).sum())
    assert check["num_maps"] + check["num_blank"] == min(200, wrong)
    verdicts = {v["kind"]: v for v in json.loads(newest(finished, "verdicts.json").read_text())}
    assert {*verdicts, check["verdict"]["kind"]} == KINDS.keys()
    assert verdicts["accuracy"]["value"] == metrics["test_accuracy"]
    # the history is measured in training's own precision
    assert history["test_accuracy"].iloc[-1] == pytest.approx(metrics["test_accuracy"], abs=0.03)
    assert history["epoch"].tolist() == [1, 2]
    best_lr = json.loads(newest(finished, "best_lr.json").read_text())
    assert provenance["model"]["lr"] == best_lr["lr"]
    assert history["lr"].max() == pytest.approx(best_lr["lr"])


def test_a_second_run_adds_no_pixels_and_repeats(copied):
    arrays = copied / "sample/02_intermediate/arrays"
    before, model = num_bytes(arrays), newest(copied, "model.safetensors")
    history = newest(copied, "training_history.csv").read_bytes()
    kedro(copied, *SMALL, "--runner=SequentialRunner")
    assert num_bytes(arrays) == before
    again = newest(copied, "model.safetensors")
    assert again != model and again.read_bytes() == model.read_bytes()
    assert newest(copied, "training_history.csv").read_bytes() == history


def test_predict_needs_the_model_file_alone(root, finished, tmp_path):
    """In an empty data root, whatever the parameters of data and training say; the row is that of the evaluation."""
    test_images = load_images(finished / "sample", "test_images")
    (tmp_path / "images").mkdir()
    for i in range(20):
        Image.fromarray(np.array(test_images.images_nhwc[i])).save(tmp_path / f"images/{i:02d}.png")
    model = tmp_path / "data/06_models/model.safetensors/received/model.safetensors"
    model.parent.mkdir(parents=True)
    model.write_bytes(newest(finished, "model.safetensors").read_bytes())
    kedro(
        tmp_path / "data",
        "--pipeline=predict",
        "--load-versions=model:received",
        f"--params=predict.path={tmp_path / 'images'},predict.batch_size=7",
        "--params=train.batch_size=9999,train.architecture.depth=50,ingest.source=folder,ingest.path=/nowhere",
    )
    predictions = pd.read_csv(newest(tmp_path, "predictions.csv", "data"))
    evaluated = pd.read_parquet(newest(finished, "test_predictions.parquet"))[:20]
    assert predictions["prediction"].tolist() == evaluated["prediction"].tolist()
    assert predictions["prediction_name"].tolist() == evaluated["prediction_name"].tolist()
    columns = ["confidence", *(f"p_{name}" for name in test_images.class_names)]
    np.testing.assert_allclose(predictions[columns], evaluated[columns], atol=1e-6)


@pytest.fixture(scope="module")
def used(root, finished, tmp_path_factory):
    """The data root after the stages that use the model: predict on a good and a broken file, and export."""
    folder = tmp_path_factory.mktemp("images")
    (folder / "broken.png").write_text("no image")
    Image.new("RGB", (40, 40), "red").save(folder / "red.png")
    for arguments in (
        ["--pipeline=predict", f"--params=predict.path={folder}"],
        ["--pipeline=export", "--params=export.num_check_images=50"],
    ):
        kedro(finished, "--env=sample", *arguments)
    return finished


def test_export_writes_a_model_that_agrees(used):
    check = json.loads(newest(used, "export_check.json").read_text())
    assert check["num_equal_predictions"] == check["num_images"] == 50
    assert newest(used, "model.onnx").stat().st_size == check["num_bytes"]


@pytest.mark.slow
def test_the_notebook_tells_the_story_of_a_finished_run(root, copied, monkeypatch):
    monkeypatch.setenv("S10_DATA_ROOT", str(copied))
    runs = sorted(copied.rglob("report.html"))
    notebook = nbformat.read(root / "notebooks/story.ipynb", as_version=4)
    folder = {"metadata": {"path": str(root / "notebooks")}}
    with warnings.catch_warnings():  # of the kernel's transport
        warnings.simplefilter("ignore")
        NotebookClient(notebook, timeout=300, kernel_name="python3", resources=folder).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    text = "".join(output.text for output in outputs if output.output_type == "stream")
    metrics = json.loads(newest(copied, "metrics.json").read_text())
    assert f"test accuracy {metrics['test_accuracy']:.1%}" in text
    assert "largest difference of confidence" in text
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 9
    assert "pip" not in text and sorted(copied.rglob("report.html")) == runs


def test_every_output_can_be_looked_at_in_kedro_viz(root, used, monkeypatch):
    monkeypatch.setenv("S10_DATA_ROOT", str(used))
    with KedroSession.create(project_path=root, env="sample") as session:
        context = session.load_context()
    entries = context.config_loader["catalog"]
    for name in sorted(set().union(*(pipeline.all_outputs() for pipeline in register_pipelines().values()))):
        dataset = context.catalog[name]
        preview = dataset.preview(**entries[name]["metadata"]["kedro-viz"].get("preview_args", {}))
        # kedro-viz knows what to draw by the annotation
        assert typing.get_type_hints(dataset.preview)["return"].__name__.endswith("Preview"), name
        assert len(preview) > 2, name
        if name == "report":
            assert "\n" not in preview and "test accuracy" in preview
        if name == "predictions":
            assert preview["columns"][:5] == ["file", "prediction", "prediction_name", "confidence", "error"]
    for figure in filter(Path.is_file, used.rglob("*.png")):
        with Image.open(figure) as image:
            assert image.size[0] >= 600, figure


def photos(folder: Path) -> Path:
    """A flat folder of classes, imbalanced, of mixed sizes and formats: as people have them."""
    rng = np.random.default_rng(0)
    classes = {"sky & sea": ((60, 120, 220), 60), "grass": ((60, 170, 60), 30), "brick": ((190, 70, 50), 20)}
    for name, (colour, number) in classes.items():
        (folder / name).mkdir(parents=True)
        for i in range(number):
            height, width = rng.integers(24, 200, 2)
            noise = rng.integers(-40, 40, (height, width, 3))
            pixels = (np.array(colour) + noise).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"IMG {i:03d}.{('jpg', 'png', 'webp')[i % 3]}")
    return folder


def test_a_table_with_groups_and_damaged_images(tmp_path):
    files = sorted(path for path in photos(tmp_path / "photos").rglob("*") if path.is_file())
    table = pd.DataFrame(
        {"image": files, "label": [file.parent.name for file in files], "patient": pd.RangeIndex(len(files)) // 5}
    )
    table.to_csv(tmp_path / "labels.csv", sep=";", index=False)
    damaged = [file for file in files if file.suffix == ".png"][:7]
    for file in damaged:
        file.write_bytes(file.read_bytes()[:60])
    source = f"--params=ingest.source=csv,ingest.path={tmp_path}/labels.csv,ingest.image_size=48"
    told = kedro(tmp_path / "data", "--env=cpu", "--pipeline=data", source, code=1)
    assert damaged[0].name in told and "ingest.on_bad_image=skip" in told
    arguments = (source, "--params=ingest.on_bad_image=skip,augment.val_fraction=0.2", "--only-missing-outputs")
    for num_versions, change in ((1, None), (1, None), (2, damaged[0])):
        if change:
            Image.new("RGB", (60, 60), "red").save(change)
        kedro(tmp_path / "data", "--env=cpu", "--pipeline=data", *arguments)
        assert len(list((tmp_path / "data/cpu").glob("*/skipped_images.csv/*"))) == num_versions
    skipped = pd.read_csv(newest(tmp_path / "data", "skipped_images.csv", "cpu"))
    assert sorted(skipped["path"]) == sorted(str(file.relative_to(tmp_path)) for file in damaged[1:])
    train, test = (load_images(tmp_path / "data/cpu", name) for name in ("train_images", "test_images"))
    val_set, train_set = (
        json.loads(newest(tmp_path / "data", f"{s}_set.json", "cpu").read_text())["indices"] for s in ("val", "train")
    )
    sides = [set(train.groups[train_set]), set(train.groups[val_set]), set(test.groups)]
    assert len(set.union(*sides)) == sum(map(len, sides)) == 22
    assert {*train.labels[val_set]} == {*test.labels} == {0, 1, 2}


@pytest.mark.slow
def test_the_whole_line_on_a_remote_data_root(root, tmp_path, monkeypatch, caplog):
    remote = fsspec.filesystem("memory")  # of this process; s3:// and the like go the same way
    monkeypatch.chdir(tmp_path)
    caplog.set_level("INFO")
    arguments = (*SMALL, f"--conf-source={root / 'conf'}")
    kedro("memory:///runs", *arguments, "--only-missing-outputs")
    told = "\n".join(caplog.messages)
    assert told.index("every stage runs") < told.index("Running node: ingest_cifar")
    assert f"checkpoints: need a local disk and are kept in {tmp_path}/data/sample/06_models/checkpoints" in told
    assert re.search(r"^memory:///runs/sample/.*/report.html$", told, re.MULTILINE)
    assert len([path for path in remote.find("/runs") if path.endswith("/report.html")]) == 1
    assert len(list(tmp_path.glob("data/sample/06_models/checkpoints/*/epoch-*.pt"))) > 0
    assert {path.name for path in tmp_path.iterdir()} <= {"data", "s10_pipeline.log"}
    remote.rm("/runs", recursive=True)


def test_the_whole_line_on_a_folder_of_photos(tmp_path):
    folder = photos(tmp_path / "photos")
    source = f"--params=ingest.source=folder,ingest.path={folder},ingest.image_size=48"
    small = "--params=train.epochs=1,train.anneal_epochs=0,train.batch_size=16,train.architecture.width=4"
    small += ",lr_search.num_iterations=20"
    kedro(tmp_path / "data", "--env=cpu", source, small, "--params=train.architecture.depth=8")
    predictions = pd.read_parquet(newest(tmp_path / "data", "test_predictions.parquet", "cpu"))
    assert sorted(set(predictions["label_name"])) == ["brick", "grass", "sky & sea"]
    assert predictions["path"].str.endswith((".jpg", ".png", ".webp")).all()
    page = newest(tmp_path / "data", "report.html", "cpu").read_text()
    mistakes = (predictions["label"] != predictions["prediction"]).sum()
    assert len(re.findall(r'data-index="', page)) == min(25, mistakes) and "sky &amp; sea" in page
    assert "sky & sea" not in page.replace("sky &amp; sea", "")
    kedro(tmp_path / "data", "--env=cpu", "--pipeline=explain", "--params=explain.num_images=3")
    again = newest(tmp_path / "data", "report.html", "cpu").read_text()
    assert re.findall(r'data-index="(\d+)"', again) == re.findall(r'data-index="(\d+)"', page)[:3]


@pytest.fixture
def ran(caplog):
    """Nodes that ran since the last call."""
    caplog.set_level("INFO")

    def names() -> list[str]:
        found = [m.removeprefix("Completed node: ") for m in caplog.messages if m.startswith("Completed node: ")]
        caplog.clear()
        return found

    return names


@pytest.mark.slow
def test_only_what_is_stale_runs(copied, ran):
    up_to_date = (*SMALL, "--only-missing-outputs")
    explaining = ["collect_misclassified", "compute_cams", "check_cams", "gradcam_report"]
    harmless, changed = "--params=train.num_workers=1,train.device=cpu", "--params=explain.num_images=5"
    for given, expected in (([], []), ([harmless], []), ([changed], explaining), ([], [])):
        kedro(copied, *up_to_date, *given)
        assert ran() == expected
    assert len(pd.read_parquet(newest(copied, "misclassified.parquet"))) == 25
    for array in (copied / "sample/02_intermediate/arrays").iterdir():
        os.truncate(array, 200)
    assert "train_images was changed after it was saved" in command(copied, "stages", *SMALL)
    kedro(copied, *up_to_date)
    assert ran() == ["ingest_cifar"]


@pytest.mark.slow
@pytest.mark.browser
def test_corrections_clicked_in_the_report_lead_to_a_second_model(tmp_path, browser, ran):
    plant = "--params=ingest.plant=labels:0.05,explain.num_images=3"
    kedro(tmp_path, *SMALL, plant)
    ran()
    images = load_images(tmp_path / "sample")
    browser.open(newest(tmp_path, "report.html").read_text())
    browser.run("document.querySelectorAll('.fix[data-image] button')[1].click()")
    select = "document.querySelectorAll('.fix[data-image] select')[1]"
    browser.run(f"{select}.dispatchEvent(new Event('focus')); {select}.selectedIndex = 1")
    browser.run(f"{select}.dispatchEvent(new Event('change'))")
    browser.call("Page.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    browser.run("document.querySelector('.corrections a').click()")
    file = tmp_path / "corrections.csv"
    wait_for(file.exists)
    dropped, relabelled = pd.read_csv(file, skiprows=1).to_dict("records")
    corrected = (*SMALL, plant, f"--params=ingest.corrections={file}", "--only-missing-outputs")
    kedro(tmp_path, *corrected)
    assert len(ran()) == 13
    labels = images.labels.copy()
    labels[relabelled["index"]] = images.class_names.index(relabelled["label"])
    after = load_images(tmp_path / "sample")
    assert after.labels.tolist() == np.delete(labels, dropped["index"]).tolist()
    assert (after.images_nhwc == np.delete(images.images_nhwc, dropped["index"], axis=0)).all()
    page = newest(tmp_path, "report.html").read_text()
    assert "0 images were checked and kept, 1 relabelled and 1 dropped" in page
    os.utime(file)
    kedro(tmp_path, *corrected)
    assert ran() == [], "the file's content counts, not its time"
    told = command(tmp_path, "compare", "--env=sample")
    assert re.search(r"on 120 test images: .*\nAccuracy of B minus that of A: [+-]\d+\.\d+ points \(95% inter", told)
    with file.open("a") as out:
        out.write(f"test,0,,{dropped['pixels_sha256']},drop,\n")
    assert decisions(command(tmp_path, "stages", *corrected[:-1]))["ingest_cifar"].startswith("runs")
    refused = kedro(tmp_path, *corrected, code=1)
    assert f"Error: ingest.corrections={file}: line 5: corrects a test image" in refused
    assert load_images(tmp_path / "sample").source == after.source


def decisions(told: str) -> dict[str, str]:
    lines = [re.split(r" {2,}", line) for line in told.splitlines()]
    return {line[0]: ", ".join(line[1:]) for line in lines if len(line) == 3}


def test_stages_tells_what_would_run_and_why(copied):
    told = decisions(command(copied, "stages", *SMALL))
    assert len(told) == 13 and all(line.startswith("up to date") for line in told.values())
    told = decisions(command(copied, "stages", *SMALL, "--params=train.plateau.patience=7"))
    assert told["train_resnet"] == "runs, train.plateau.patience 0 -> 7"
    assert told["evaluate"] == "waits, runs if model or provenance changes"
    assert {name for name, line in told.items() if line.startswith("up to date")} == {
        "ingest_cifar", "build_augmented_datasets", "find_near_duplicates", "lr_range_test",
    }  # fmt: skip


def test_lineage_goes_back_to_the_source(finished):
    checksum = json.loads(newest(finished, "train_images.json").read_text())["source"]["checksum"]
    told = command(finished, "lineage", "report", "--env=sample")
    for name in ("gradcam_report", "train_resnet", "lr_range_test", "evaluate", "ingest_cifar", checksum):
        assert name in told


@pytest.mark.slow
def test_compare_and_prune(copied, ran):
    for folder in copied.glob("sample/*/*"):  # what other tests made of the first model would keep it
        if folder.name.startswith(("predictions", "model.onnx", "export_check")):
            shutil.rmtree(folder)
    before = newest(copied, "model.safetensors").parent.name
    kedro(copied, *SMALL, "--only-missing-outputs", "--params=train.seed=1")
    assert ran()[:2] == ["lr_range_test", "train_resnet"]
    after = newest(copied, "model.safetensors").parent.name
    told = command(copied, "compare", "--env=sample", "--versions", before, after)
    assert re.search(r"train\.seed +0 +1\n", told)
    first, second = [
        json.loads((copied / "sample/08_reporting/metrics.json" / v / "metrics.json").read_text())["test_accuracy"]
        for v in (before, after)
    ]
    assert re.search(rf"test_accuracy +{first:.5g} +{second:.5g}\n", told)
    assert re.search(r"McNemar's test on 120 test images: \d+ right by A alone, \d+ by B alone, p = ", told)
    command(copied, "prune", "--env=sample", code=1)
    models = copied / "sample/06_models/model.safetensors"
    left = models / "2026-01-01T00.00.00.000Z"  # by a save that was killed
    left.mkdir()
    (left / ".model.safetensors.1.partial").write_bytes(b"half")
    os.utime(left, (1e9, 1e9))
    command(copied, "prune", "--env=sample", "--keep-last=1")
    assert len(list(models.iterdir())) >= 2
    command(copied, "prune", "--env=sample", "--keep-last=1", "--apply")
    assert [p.name for p in models.iterdir()] == [after]
    assert [p.name for p in (copied / "sample/02_intermediate/train_images.json").iterdir()]
    kedro(copied, *SMALL, "--only-missing-outputs", "--params=train.seed=1")
    assert ran() == []
    with RecordStore(copied / "sample/.records").running("2026-01-01T00.00.00.000Z"):
        beside = command(copied, "prune", "--env=sample", "--keep-last=1", "--apply", code=1)
    assert "a run is in progress (2026-01-01T00.00.00.000Z)" in beside


def test_compare_two_environments(copied, monkeypatch):
    few = "environment cpu has too few stored models"
    with monkeypatch.context() as patch:
        patch.setenv("KEDRO_ENV", "cpu")
        assert few in command(copied, "compare", code=1)
    for arguments, told in (
        (["--envs", "sample", "cpu"], f"{few} (0 of 1); train one with kedro run --env=cpu"),
        (["--envs", "sample", "smaple"], "--env=smaple: no such environment; did you mean sample?"),
        (["--env=cpu"], f"--versions: {few} (0 of 2)"),
    ):
        assert told in command(copied, "compare", *arguments, code=1)
    shutil.copytree(copied / "sample", copied / "cpu")
    for path in (copied / "cpu").glob("*/provenance.json/*/provenance.json"):
        content = json.loads(path.read_text())
        content["train"]["epochs"] = 7
        path.write_text(json.dumps(content))
    accuracy = json.loads(newest(copied, "metrics.json").read_text())["test_accuracy"]
    told = command(copied, "compare", "--envs", "sample", "cpu")
    version = newest(copied, "model.safetensors").parent.name
    assert f"A: sample {version}\nB: cpu {version}\n" in told
    assert re.search(r"differs +A +B\ntrain\.epochs +2 +7\n\n", told)
    assert re.search(rf"test_accuracy +{accuracy:.5g} +{accuracy:.5g}\n", told)
    assert "McNemar's test on 120 test images: 0 right by A alone, 0 by B alone, p = 1\n" in told
