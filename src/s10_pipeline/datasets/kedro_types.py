"""Datasets of kedro-datasets that this project uses, with atomic saving and lazy imports.

pandas and matplotlib take seconds to import, and a run in which every stage is up to date does not need them.
"""

import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

from ..staleness.kedro_internals import ImagePreview, JSONPreview, TablePreview
from .atomic import AtomicDataset


class _KedroType(AtomicDataset[Any]):
    """Base class that adds atomic saving and late import to a class of kedro-datasets that stores one file.

    Args:
        load_args, save_args: passed to the class of kedro-datasets.
        of_any_dataset: arguments of :class:`~.atomic.AtomicDataset`.
    """

    module: ClassVar[str]

    def __init__(
        self, *, load_args: dict[str, Any] | None = None, save_args: dict[str, Any] | None = None, **of_any_dataset: Any
    ) -> None:
        self._arguments: dict[str, Any] = {k: v for k, v in (("load_args", load_args), ("save_args", save_args)) if v}
        super().__init__(**of_any_dataset)

    def at(self, path: Path) -> Any:
        """Return an instance of the wrapped class of kedro-datasets that reads and writes the local file ``path``."""
        dataset_type = getattr(import_module(f"kedro_datasets.{self.module}"), type(self).__name__)
        return dataset_type(filepath=str(path), **self._arguments)

    def encode(self, data: Any) -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / self.filepath.name
            self.at(path).save(data)
            return path.read_bytes()

    def read(self, path: Path) -> Any:
        return self.at(path).load()

    def _preview(self, **options: Any) -> Any:
        with self._local() as path:
            return self.at(path).preview(**options)


class JSONDataset(_KedroType):
    """``json.JSONDataset`` of kedro-datasets with atomic saving; the wrapped class is imported at first use.

    Examples:
        .. code-block:: yaml

            metrics:
              type: s10_pipeline.datasets.kedro_types.JSONDataset
              filepath: data/08_reporting/metrics.json
              versioned: true
    """

    module = "json"

    def preview(self) -> JSONPreview:
        return JSONPreview(self._preview())


class _TableType(_KedroType):
    module = "pandas"

    def preview(self, nrows: int = 5) -> TablePreview:
        return TablePreview(self._preview(nrows=nrows))


class CSVDataset(_TableType):
    """``pandas.CSVDataset`` of kedro-datasets with atomic saving; the wrapped class is imported at first use."""


class ParquetDataset(_TableType):
    """``pandas.ParquetDataset`` of kedro-datasets with atomic saving; the wrapped class is imported at first use."""


class MatplotlibDataset(_KedroType):
    """``matplotlib.MatplotlibDataset`` of kedro-datasets with atomic saving; saved figures cannot be loaded."""

    module = "matplotlib"

    def preview(self) -> ImagePreview:
        return ImagePreview(self._preview())
