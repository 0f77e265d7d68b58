"""Rules of this project that no linter knows."""

import inspect
import json
import subprocess
import sys
import typing

import pytest
from kedro.config import OmegaConfigLoader

from s10_pipeline.configuration import CONFIG_LOADER_ARGS
from s10_pipeline.parameters import STAGES, Parameters
from s10_pipeline.pipeline_registry import register_pipelines

PIPELINES = register_pipelines()
NODES = {node.name: node for pipeline in PIPELINES.values() for node in pipeline.nodes}


@pytest.fixture(scope="module")
def catalog(root):
    return OmegaConfigLoader(str(root / "conf"), env="base", **CONFIG_LOADER_ARGS)["catalog"]


def test_stages_have_the_names_that_commands_rely_on():
    assert list(PIPELINES) == [
        "__default__", "data", "lr_search", "training", "evaluation", "explain", "predict", "export"
    ]  # fmt: skip
    assert NODES.keys() == {
        "ingest_cifar", "build_augmented_datasets", "lr_range_test", "train_resnet", "find_near_duplicates", "evaluate",
        "find_label_errors", "probe_shortcut", "judge", "collect_misclassified", "compute_cams", "check_cams",
        "gradcam_report", "predict_images", "export_onnx",
    }  # fmt: skip
    assert len(PIPELINES["__default__"].nodes) == 13


def test_nodes_are_named_after_their_functions():
    assert all(node.name == node.func.__name__ for node in NODES.values())


def test_every_dataset_has_a_catalog_entry_in_the_folder_of_its_layer(catalog):
    named = {
        name for node in NODES.values() for name in [*node.inputs, *node.outputs] if not name.startswith("params:")
    }
    assert named | {"records"} == set(catalog)
    for name, entry in catalog.items():
        # a save that is killed leaves nothing behind
        assert entry["type"].startswith("s10_pipeline."), name
        if name == "records":
            continue
        layer = entry["metadata"]["kedro-viz"]["layer"]
        folder = entry["filepath"].split("/")[-2]
        assert folder.partition("_")[2] == layer, name
        assert entry.get("versioned") or name == "checkpoints", name


def test_layers_follow_each_other_as_their_folders_do(catalog):
    """kedro-viz shows no layers at all where two come before each other."""
    layers = {name: entry["metadata"]["kedro-viz"]["layer"] for name, entry in catalog.items() if "metadata" in entry}
    folders = {entry["filepath"].split("/")[-2] for name, entry in catalog.items() if name in layers}
    order = [folder.partition("_")[2] for folder in sorted(folders)]
    for node in NODES.values():
        before = [order.index(layers[name]) for name in node.inputs if not name.startswith("params:")]
        after = [order.index(layers[name]) for name in node.outputs]
        assert max(before, default=0) <= min(after), node.name


def test_type_hints_of_nodes_can_be_resolved_and_groups_have_one_class():
    for node in NODES.values():
        hints = typing.get_type_hints(node.func)
        arguments = list(inspect.signature(node.func).parameters)
        if arguments == ["stored"]:  # artifacts by their names, no group of parameters among them
            arguments = node.inputs
        for argument, source in zip(arguments, node.inputs, strict=True):
            group = source.removeprefix("params:")
            if source.startswith("params:") and group in STAGES:
                assert hints[argument] is Parameters.model_fields[group].annotation, (node.name, argument)


@pytest.mark.parametrize(
    ("code", "heavy"),
    [
        ("import s10_pipeline, s10_pipeline.api", {"torch", "numpy", "PIL", "kedro"}),
        ("from s10_pipeline.datasets import kedro_types as k; from kedro.io.core import Version; "
         "[t(filepath='x/y', version=Version(None, None)).exists() for t in "
         "(k.JSONDataset, k.CSVDataset, k.ParquetDataset, k.MatplotlibDataset)]", {"pandas", "matplotlib", "pyarrow"}),
        ("from pathlib import Path; from kedro.framework.startup import bootstrap_project; "
         "bootstrap_project(Path.cwd()); from kedro.framework.project import pipelines; assert len(pipelines) == 8; "
         "import s10_pipeline.cli", {"torch", "torchvision", "albumentations", "cv2", "matplotlib", "pandas",
                                     "pytorch_grad_cam", "onnx", "onnxruntime"}),
    ],
    ids=["package", "datasets", "commands"],
)  # fmt: skip
def test_nothing_waits_for_what_it_does_not_need(root, code, heavy):
    code += f"; import sys; loaded = {heavy} & set(sys.modules); assert not loaded, loaded"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=root)


def test_notebooks_are_stored_without_outputs(root):
    notebooks = list(root.glob("notebooks/*.ipynb"))
    assert notebooks
    for path in notebooks:
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            assert not cell.get("outputs"), (path.name, cell["id"])
            assert cell.get("execution_count") is None, (path.name, cell["id"])


def test_files_stay_short(root):
    assert not [path for path in root.glob("src/**/*.py") if len(path.read_text().splitlines()) > 250]


# Modules without a test_<module>.py in the same folder of tests, by the tests that go through them.
UNTESTED = {
    "every run and this file": "__main__ settings pipeline_registry",
    "test_round_trips.py": "datasets/cams datasets/checkpoints datasets/classifier datasets/html datasets/kedro_types "
    "datasets/onnx_file datasets/split",
    "test_reach.py": "identity/source",
    "staleness/commands/test_stages.py, test_runner.py": "staleness/plan",
    "fields or interfaces; test_gradcam.py, tests/pipelines/test_explain.py": "vision/explain/cams vision/types "
    "vision/report/inputs vision/training/data vision/training/ranks",
    "test_examples.py": "vision/data/preview",
    "test_parquet.py, test_folder.py, test_table.py": "vision/data/sources/class_names vision/data/sources/decoding "
    "vision/data/sources/parquet_files vision/data/sources/assembly",
    "test_shapes10.py": "vision/data/sources/drawing",
    "test_archive.py, test_download.py": "vision/data/sources/suggestion vision/data/sources/transfer",
    "test_launcher.py": "vision/distributed/ranks",
    "tests/pipelines/test_training.py, test_engine.py": "vision/training/margins",
}


def test_tests_find_themselves(root):
    package, tests = root / "src/s10_pipeline", root / "tests"
    modules = [p.relative_to(package) for p in package.rglob("*.py") if p.name not in ("__init__.py", "params.py")]
    lacking = {p.as_posix() for p in modules if not (tests / p.parent / f"test_{p.name}").exists()}
    stages = {p for p in lacking if p.startswith("pipelines/")}
    assert lacking - stages == {f"{module}.py" for modules in UNTESTED.values() for module in modules.split()}
    for stage in {p.split("/")[1] for p in stages}:
        assert (tests / f"pipelines/test_{stage}.py").exists(), stage
