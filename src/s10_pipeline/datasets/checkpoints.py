"""Dataset that gives a training node access to its checkpoints, so that a killed training can resume."""

import json
from pathlib import Path
from typing import Any, NoReturn

from kedro.io import AbstractDataset, DatasetError

from ..staleness.kedro_internals import JSONPreview
from ..vision.types import CheckpointStore
from .atomic import path_from_here


class CheckpointsDataset(AbstractDataset[NoReturn, CheckpointStore]):
    """Loads a :class:`CheckpointStore` for a local folder.

    Kedro saves the outputs of a node only after it has ended, and a dataset cannot be both input and output of a node.
    So the store is an input, and the node saves checkpoints through it. Tests pass a store in a temporary folder.

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

        if "://" in self.filepath:  # Path() would treat the URL as a local folder
            raise UserError(
                f"checkpoints={self.filepath}: locks and renames need a local disk; give checkpoints a local filepath "
                "in catalog_training.yml"
            )
        return Store(Path(self.filepath))

    def save(self, data: NoReturn) -> NoReturn:
        raise DatasetError("checkpoints are saved through the loaded store, not as a node's output")

    def preview(self) -> JSONPreview:
        """Return, for each training's folder, the epoch of its newest checkpoint and the epochs of its stored model."""
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
