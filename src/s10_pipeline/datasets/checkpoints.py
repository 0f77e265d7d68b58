"""Checkpoints as a dataset: what a node that may be killed and started again reads and writes by itself."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from kedro.io import AbstractDataset, DatasetError

from ..staleness.kedro_internals import JSONPreview, path_of
from ..vision.types import CheckpointStore


class CheckpointsDataset(AbstractDataset[NoReturn, CheckpointStore]):
    """Loads as a :class:`CheckpointStore` handle on a local folder.

    Kedro saves a node's outputs only when it has ended, and a dataset cannot be input and output of one
    node: so the store is an input, and the node saves through it. Tests pass a store on a temporary folder.

    Examples:
        .. code-block:: yaml

            checkpoints:
              type: s10_pipeline.datasets.checkpoints.CheckpointsDataset
              filepath: data/06_models/checkpoints
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._given, self._filepath = filepath, Path(filepath)
        self.metadata = metadata

    def load(self) -> CheckpointStore:
        from ..vision.errors import UserError
        from ..vision.training.checkpoints import CheckpointStore as Store

        if "://" in self._given:  # as a path it would be a folder of that name here
            raise UserError(
                f"checkpoints={self._given}: locks and renames need a local disk; give checkpoints a local filepath in "
                "catalog_training.yml"
            )
        return Store(self._filepath)

    def save(self, data: NoReturn) -> NoReturn:
        raise DatasetError("checkpoints are saved through the loaded store, not as a node's output")

    def preview(self) -> JSONPreview:
        """Each training by its scope: the epoch of its newest checkpoint, and of how many epochs a model came of it."""
        from ..vision.training.checkpoints import CheckpointScope

        scopes = [CheckpointScope(folder, keep=1) for folder in sorted(self._filepath.glob("*/"))]
        shown = {
            scope.folder.name: {
                "last_epoch": max((epoch for epoch, _ in scope.saved()), default=0),
                "finished_epochs": scope.finished_epochs(),
            }
            for scope in scopes
        }
        return JSONPreview(json.dumps(shown))

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}


def finished_without_model(catalog: Any, kept: set[tuple[str, str]]) -> list[Path]:
    """Return folders of finished trainings whose model is none of the kept versions (dataset, version)."""
    from filelock import FileLock, Timeout

    named = set()
    for version in (version for name, version in kept if name == "provenance"):
        with suppress(OSError, ValueError, KeyError):
            path = Path(str(path_of(catalog["provenance"], version)))
            named.add(json.loads(path.read_text(encoding="utf-8"))["checkpoints"])
    folders = []
    for mark in sorted(Path(str(path_of(catalog["checkpoints"], None))).glob("*/finished.json")):
        with suppress(Timeout), FileLock(mark.parent / "owner.lock", timeout=0):
            folders += [mark.parent] if mark.parent.name not in named else []
    return folders
