"""Kedro dataset through which a training node saves and loads checkpoints, so that a killed training can resume."""

from pathlib import Path
from typing import Any, NoReturn

from kedro.io import AbstractDataset, DatasetError

from ..vision.types import CheckpointStore
from .atomic import path_from_here


class CheckpointsDataset(AbstractDataset[NoReturn, CheckpointStore]):
    """Kedro dataset that loads a :class:`CheckpointStore`, which saves and loads checkpoints in a local folder.

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

        if "://" in self.filepath:  # refuse a URL, which Path() would treat as a local folder
            raise UserError(f"checkpoints={self.filepath}: not on a local disk; give checkpoints a local filepath")
        return Store(Path(self.filepath))

    def save(self, data: NoReturn) -> NoReturn:
        raise DatasetError("checkpoints are saved through the loaded store, not as a node's output")

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"filepath": path_from_here(self.filepath)}
