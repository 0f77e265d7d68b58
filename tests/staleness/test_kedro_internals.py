"""Kedro's private names: which of them a new Kedro has changed, in words, and that one module alone uses them."""

import importlib
import re

import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.io.core import Version
from kedro.pipeline import Pipeline, node
from kedro.runner import SequentialRunner
from kedro_datasets.json import JSONDataset

from s10_pipeline.staleness import kedro_internals

# where they live -> the private names; what is done with them, kedro_internals.py says
PRIVATE = {
    "kedro.io:AbstractDataset": ["_EPHEMERAL", "_copy"],
    "kedro.io:AbstractVersionedDataset": ["_get_load_path", "_get_save_path", "_get_versioned_path"],
    "kedro.runner:AbstractRunner": ["_release_datasets", "_run"],
    "kedro_datasets._typing": ["JSONPreview", "HTMLPreview", "ImagePreview", "TablePreview"],
}


@pytest.mark.parametrize("place", PRIVATE)
def test_kedro_still_has_the_private_names(place):
    module, _, owner = place.partition(":")
    holder = importlib.import_module(module)
    holder = getattr(holder, owner) if owner else holder
    lacking = [name for name in PRIVATE[place] if not hasattr(holder, name)]
    assert not lacking, f"this Kedro has no {place}.{lacking[0]} any more: mend kedro_internals.py"


def test_private_attributes_of_datasets_mean_what_they_did(tmp_path):
    path = tmp_path / "x.json"
    dataset = JSONDataset(filepath=str(path), version=Version("1", "2"))
    changed = "a versioned dataset's private attribute {} changed: mend kedro_internals.py"
    assert kedro_internals.version_of(dataset) == Version("1", "2"), changed.format("_version")
    assert kedro_internals.is_versioned(dataset), changed.format("_version")
    assert kedro_internals.path_of(dataset, None) == str(path), changed.format("_filepath")
    assert kedro_internals.path_of(dataset, "3") == str(path / "3" / "x.json"), changed.format("_get_versioned_path")
    assert kedro_internals.file_system_of(dataset).protocol[0] == "file", changed.format("_fs")
    assert kedro_internals.is_local(dataset), changed.format("_protocol")
    assert not kedro_internals.is_local(JSONDataset(filepath="memory://x.json")), changed.format("_protocol")
    assert str(kedro_internals.save_path(dataset)) == str(path / "2" / "x.json"), changed.format("_get_save_path")
    kedro_internals.bind_version(dataset, None, "4")
    dataset.save({"a": 1})
    assert (path / "4" / "x.json").exists(), changed.format("_version")
    other = kedro_internals.at_version(dataset, "4")
    assert str(kedro_internals.load_path(other)) == str(path / "4" / "x.json"), changed.format("_copy")
    assert other.load() == {"a": 1}


def test_datasets_that_live_in_memory_say_so():
    assert not kedro_internals.is_stored(MemoryDataset()), "MemoryDataset._EPHEMERAL changed: mend kedro_internals.py"
    assert kedro_internals.is_stored(JSONDataset(filepath="x.json")), "_EPHEMERAL changed: mend kedro_internals.py"


def test_nodes_say_how_they_are_wired():
    wired = node(print, {"sep": "a"}, "b", name="n")
    assert kedro_internals.wiring_of(wired) == {"inputs": {"sep": "a"}, "outputs": "b"}, (
        "a node's _inputs or _outputs changed: mend kedro_internals.py"
    )


def test_runners_release_what_nobody_reads_any_more():
    runner, reading = SequentialRunner(is_async=True), node(print, "a", None, name="n")
    assert kedro_internals.is_async(runner), "a runner's _is_async changed: mend kedro_internals.py"
    catalog = DataCatalog({"a": MemoryDataset(1)})
    kedro_internals.release_datasets(runner, reading, catalog, {"a": 1}, Pipeline([reading, node(sorted, "b", "a")]))
    assert not catalog["a"].exists(), "a runner's _release_datasets changed: mend kedro_internals.py"


def test_no_other_module_uses_them(root):
    # what subclasses of Kedro's dataset and runner define (_load, _save, _exists, _release, _describe, _run) is theirs;
    # _fs and _protocol are what our own datasets set, as those of kedro-datasets do
    names = {name for names in PRIVATE.values() for name in names if name.startswith("_")} - {"_run"}
    names |= {"_version", "_filepath", "_inputs", "_outputs", "_is_async"}
    pattern = re.compile(rf"\.(?:{'|'.join(names)})\b|kedro_datasets\._typing|import _")
    for path in (root / "src").rglob("*.py"):
        if path.name != "kedro_internals.py":
            assert not (found := pattern.search(path.read_text(encoding="utf-8"))), f"{path}: {found}"
