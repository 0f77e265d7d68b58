"""Training, validation and test sets."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

from ..staleness.kedro_internals import JSONPreview
from ..vision.data.augmented import AugmentedSet
from .atomic import AtomicDataset


class AugmentedSetDataset(AtomicDataset[AugmentedSet]):
    """Indices and transforms as JSON: small, readable, equal for equal sets.

    Examples:
        .. code-block:: yaml

            train_set:
              type: s10_pipeline.datasets.augmented_set.AugmentedSetDataset
              filepath: data/05_model_input/train_set.json
              versioned: true
    """

    def encode(self, data: AugmentedSet) -> bytes:
        return json.dumps({**asdict(data), "indices": data.indices.tolist()}).encode()

    def read(self, path: Path) -> AugmentedSet:
        fields = json.loads(path.read_text(encoding="utf-8"))
        fields["indices"] = np.array(fields["indices"], np.int64)
        fields["mean"], fields["std"] = tuple(fields["mean"]), tuple(fields["std"])
        return AugmentedSet(**fields)

    def preview(self) -> JSONPreview:
        """Everything but the indices, of which it gives the number."""
        data = self.load()
        return JSONPreview(json.dumps({**asdict(data), "indices": f"{len(data)} images"}))
