"""Kedro dataset that stores the trained model."""

from pathlib import Path

from ..staleness.kedro_internals import JSONPreview
from ..vision.types import Classifier
from .atomic import AtomicDataset


class ClassifierDataset(AtomicDataset[Classifier]):
    """Stores a model's weights and specification in a ``.safetensors`` file; loading the file runs no code from it.

    Equal models give equal bytes. The model is loaded on the CPU, in evaluation mode.

    Examples:
        .. code-block:: yaml

            model:
              type: s10_pipeline.datasets.classifier.ClassifierDataset
              filepath: data/06_models/model.safetensors
              versioned: true
    """

    def encode(self, data: Classifier) -> bytes:
        from ..vision.network.classifier import classifier_to_bytes

        return classifier_to_bytes(data)

    def read(self, path: Path) -> Classifier:
        from ..vision.network.classifier import load_classifier

        return load_classifier(path)

    def preview(self) -> JSONPreview:
        """Return the model's specification (architecture, class names, ...) for kedro-viz, without weights or torch."""
        from safetensors import safe_open

        with self._local() as local, safe_open(local, framework="numpy") as file:
            return JSONPreview(file.metadata()["spec"])
