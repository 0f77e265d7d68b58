"""Kedro's private names mean what they did (else mend kedro_internals.py), and one module alone uses them."""

import re

from kedro.io import DataCatalog, MemoryDataset
from kedro.io.core import Version
from kedro.pipeline import Pipeline, node
from kedro.runner import SequentialRunner
from kedro_datasets.json import JSONDataset

from s10_pipeline.staleness import kedro_internals


def test_private_attributes_of_datasets_mean_what_they_did(tmp_path):
    path = tmp_path / "x.json"
    dataset = JSONDataset(filepath=str(path), version=Version("1", "2"))
    assert kedro_internals.version_of(dataset) == Version("1", "2")
    assert kedro_internals.is_versioned(dataset) and kedro_internals.path_of(dataset, None) == str(path)
    assert kedro_internals.path_of(dataset, "3") == str(path / "3" / "x.json")
    assert kedro_internals.file_system_of(dataset).protocol[0] == "file"
    assert kedro_internals.is_local(dataset)
    assert not kedro_internals.is_local(JSONDataset(filepath="memory://x.json"))
    assert str(kedro_internals.save_path(dataset)) == str(path / "2" / "x.json")
    kedro_internals.bind_version(dataset, None, "4")
    dataset.save({"a": 1})
    assert (path / "4" / "x.json").exists()
    other = kedro_internals.at_version(dataset, "4")
    assert str(kedro_internals.load_path(other)) == str(path / "4" / "x.json")
    assert other.load() == {"a": 1} and kedro_internals.is_stored(dataset)
    assert not kedro_internals.is_stored(MemoryDataset())


def test_nodes_and_runners_have_what_they_had():
    wired = node(print, {"sep": "a"}, "b", name="n")
    assert kedro_internals.wiring_of(wired) == {"inputs": {"sep": "a"}, "outputs": "b"}
    runner, reading = SequentialRunner(is_async=True), node(print, "a", None, name="n")
    assert kedro_internals.is_async(runner)
    catalog = DataCatalog({"a": MemoryDataset(1)})
    kedro_internals.release_datasets(runner, reading, catalog, {"a": 1}, Pipeline([reading, node(sorted, "b", "a")]))
    assert not catalog["a"].exists()


def test_no_other_module_uses_them(root):
    # what subclasses of Kedro's dataset and runner define (_load, _save, _exists, _release, _describe, _run) is theirs,
    # and so is what our configuration loader defines;
    # _fs and _protocol are what our own datasets set, as those of kedro-datasets do
    names = ["_EPHEMERAL", "_copy", "_get_load_path", "_get_save_path", "_get_versioned_path", "_release_datasets"]
    names += ["_version", "_filepath", "_inputs", "_outputs", "_is_async"]
    pattern = re.compile(rf"\.(?:{'|'.join(names)})\b|kedro_datasets\._typing|import _")
    for path in (root / "src").rglob("*.py"):
        if path.name != "kedro_internals.py":
            assert not (found := pattern.search(path.read_text(encoding="utf-8"))), f"{path}: {found}"
