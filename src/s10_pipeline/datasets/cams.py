"""Class activation maps."""

import json
from pathlib import Path

from kedro_datasets._typing import JSONPreview

from ..vision.explain.cams import Cams, cams_to_bytes, describe_cams, load_cams
from .atomic import AtomicDataset


class CamsDataset(AtomicDataset[Cams]):
    """Maps and what made them as one ``.safetensors`` file, equal for equal maps.

    Examples:
        .. code-block:: yaml

            cams:
              type: s10_pipeline.datasets.cams.CamsDataset
              filepath: data/08_reporting/cams.safetensors
              versioned: true
    """

    def encode(self, data: Cams) -> bytes:
        return cams_to_bytes(data)

    def read(self, path: Path) -> Cams:
        return load_cams(path)

    def preview(self) -> JSONPreview:
        """Everything but the maps, of which it gives the number."""
        data = self.load()
        return JSONPreview(json.dumps({"num_images": len(data.indices), **describe_cams(data)}))
