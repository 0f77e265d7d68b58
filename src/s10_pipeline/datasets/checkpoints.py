"""Checkpoints as a dataset: what a node that may be killed and started again reads and writes by itself."""

import json
from pathlib import Path
from typing import Any, NoReturn

from kedro.io import AbstractDataset, DatasetError

from ..staleness.kedro_internals import JSONPreview
from ..vision.types import CheckpointStore
from .atomic import path_from_here


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
        self.filepath = filepath
        self.metadata = metadata

    def load(self) -> CheckpointStore:
        from ..vision.errors import UserError
        from ..vision.training.checkpoints import CheckpointStore as Store

        if "://" in self.filepath:  # as a path it would be a folder of that name here
            raise UserError(
                f"checkpoints={self.filepath}: locks and renames need a local disk; give checkpoints a local filepath "
                "in catalog_training.yml"
            )
        return Store(Path(self.filepath))

    def save(self, data: NoReturn) -> NoReturn:
        raise DatasetError("checkpoints are saved through the loaded store, not as a node's output")

    def preview(self) -> JSONPreview:
        """Show each training by its run key: the epochs of its newest checkpoint and of the model that came of it."""
        from ..vision.training.checkpoints import RunCheckpoints

        shown = {}
        for folder in sorted(Path(self.filepath).glob("*/")):
            training = RunCheckpoints(folder)
            shown[folder.name] = {
                "last_epoch": training.last_epoch(),
                "finished_epochs": training.finished_epochs(),
            }
        return JSONPreview(json.dumps(shown))

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"filepath": path_from_here(self.filepath)}
