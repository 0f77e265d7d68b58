"""Kedro dataset that stores an ONNX model."""

import json
from pathlib import Path

from ..staleness.kedro_internals import JSONPreview
from .atomic import AtomicDataset


class OnnxDataset(AtomicDataset[bytes]):
    """Stores the content of an ONNX file as bytes, which ``onnxruntime.InferenceSession`` accepts.

    Examples:
        .. code-block:: yaml

            onnx_model:
              type: s10_pipeline.datasets.onnx_file.OnnxDataset
              filepath: data/06_models/model.onnx
              versioned: true
    """

    def encode(self, data: bytes) -> bytes:
        return data

    def read(self, path: Path) -> bytes:
        return path.read_bytes()

    def preview(self) -> JSONPreview:
        """Return metadata and opset version of the stored ONNX file for kedro-viz."""
        import onnx

        model = onnx.load_model_from_string(self.load())
        about = {entry.key: json.loads(entry.value) for entry in model.metadata_props}
        return JSONPreview(json.dumps({**about, "opset": max(entry.version for entry in model.opset_import)}))
