"""Kedro dataset that stores class activation maps."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save

from ..staleness.kedro_internals import JSONPreview
from ..vision.explain.cams import Cams
from .atomic import AtomicDataset

ARRAYS = ("indices", "predicted_nhw", "true_nhw", "shortcut_nhw")


class CamsDataset(AtomicDataset[Cams]):
    """Stores class activation maps, their parameters and the model's digest in one ``.safetensors`` file.

    Equal maps give equal bytes.

    Examples:
        .. code-block:: yaml

            cams:
              type: s10_pipeline.datasets.cams.CamsDataset
              filepath: data/08_reporting/cams.safetensors
              versioned: true
    """

    def encode(self, data: Cams) -> bytes:
        arrays = {name: np.ascontiguousarray(array) for name, array in vars(data).items() if name in ARRAYS}
        # Use a single metadata key, because safetensors writes several keys in random order.
        return save(arrays, metadata={"cams": json.dumps(_facts(data), sort_keys=True)})

    def read(self, path: Path) -> Cams:
        with safe_open(path, framework="numpy") as file:
            arrays = {name: file.get_tensor(name) for name in ARRAYS}
            return Cams(**arrays, **json.loads(file.metadata()["cams"]))

    def preview(self) -> JSONPreview:
        """Return the number of maps, their parameters and the model's digest for kedro-viz, without the maps."""
        data = self.load()
        return JSONPreview(json.dumps({"num_images": len(data.indices), **_facts(data)}))


def _facts(cams: Cams) -> dict[str, Any]:
    return {name: value for name, value in vars(cams).items() if name not in ARRAYS}
