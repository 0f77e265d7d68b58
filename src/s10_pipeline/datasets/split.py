"""Kedro dataset that stores a training, validation or test set as image indices and transforms."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

from ..staleness.kedro_internals import JSONPreview
from ..vision.data.split import Split
from .atomic import AtomicDataset


class SplitDataset(AtomicDataset[Split]):
    """Stores image indices and transforms of a training, validation or test set as JSON; equal sets are equal bytes.

    Examples:
        .. code-block:: yaml

            train_set:
              type: s10_pipeline.datasets.split.SplitDataset
              filepath: data/05_model_input/train_set.json
              versioned: true
    """

    def encode(self, data: Split) -> bytes:
        return json.dumps({**asdict(data), "indices": data.indices.tolist()}).encode()

    def read(self, path: Path) -> Split:
        fields = json.loads(path.read_text(encoding="utf-8"))
        fields["indices"] = np.array(fields["indices"], np.int64)
        fields["mean"], fields["std"] = tuple(fields["mean"]), tuple(fields["std"])
        return Split(**fields)

    def preview(self) -> JSONPreview:
        """Return transforms and number of images of a stored set for kedro-viz, without the indices of the images."""
        data = self.load()
        return JSONPreview(json.dumps({**asdict(data), "indices": f"{len(data)} images"}))
