"""Access to private names of Kedro, in one place, so that a new Kedro version can break only this module."""

from contextlib import suppress
from pathlib import PurePosixPath
from typing import Any

from kedro.framework.context import KedroContext
from kedro.io import AbstractVersionedDataset
from kedro.io.core import Version
from kedro.pipeline import Node, Pipeline
from kedro.runner import AbstractRunner

from ..identity.digests import LOCAL

# Only previews in kedro-viz need kedro-datasets, so a project may do without this package.
with suppress(ImportError):
    from kedro_datasets._typing import HTMLPreview, ImagePreview, JSONPreview, TablePreview

__all__ = ["HTMLPreview", "ImagePreview", "JSONPreview", "TablePreview"]


def hook_manager_of(context: KedroContext) -> Any:
    return context._hook_manager


def is_versioned(dataset: Any) -> bool:
    return isinstance(dataset, AbstractVersionedDataset) and dataset._version is not None


def is_stored(dataset: Any) -> bool:
    """Return whether a dataset is stored on disk or remotely, not only in memory during the run."""
    return not getattr(dataset, "_EPHEMERAL", True)


def is_local(dataset: Any) -> bool:
    return getattr(dataset, "_protocol", "file") == "file"


def file_system_of(dataset: Any) -> Any:
    return getattr(dataset, "_fs", LOCAL)


def version_of(dataset: Any) -> Version | None:
    """Return the versions that a dataset is set to load and to save; None if the dataset is not versioned."""
    version: Version | None = getattr(dataset, "_version", None)
    return version


def bind_version(dataset: Any, load: str | None, save: str) -> None:
    dataset._version = Version(load, save)


def at_version(dataset: Any, version: str | None) -> Any:
    """Return a copy of a versioned dataset that loads the given version; if None, the newest."""
    return dataset._copy(_version=Version(version, None))


def path_of(dataset: Any, version: str | None) -> str | None:
    """Return the path of a dataset's file in the given version; None if the dataset is not stored in a file.

    If ``version`` is None, return the dataset's own path, without a version.
    """
    has_versions = version is not None and isinstance(dataset, AbstractVersionedDataset)
    path = dataset._get_versioned_path(version) if has_versions else getattr(dataset, "_filepath", None)
    return None if path is None else str(path)


def load_path(dataset: AbstractVersionedDataset[Any, Any]) -> PurePosixPath:
    return dataset._get_load_path()


def save_path(dataset: AbstractVersionedDataset[Any, Any]) -> PurePosixPath:
    return dataset._get_save_path()


def wiring_of(node: Node) -> dict[str, Any]:
    """Return a node's inputs and outputs as given to ``node()``: dataset names, or a dictionary argument -> name."""
    return {"inputs": node._inputs, "outputs": node._outputs}


def is_async(runner: AbstractRunner) -> bool:
    return runner._is_async


def release_datasets(runner: Any, node: Node, catalog: Any, load_counts: dict[str, int], pipeline: Pipeline) -> None:
    """Release datasets in memory that no later node reads."""
    runner._release_datasets(node, catalog, load_counts, pipeline)
