"""Classes for type hints in modules that must not import heavy libraries such as torch.

Kedro resolves the type hints of a node function at run time, so each name must exist then too. Here it is ``object`` at
run time and the real class for type checkers.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from .network.classifier import Classifier
    from .training.checkpoints import CheckpointStore
else:
    Figure = DataFrame = Classifier = CheckpointStore = object

__all__ = ["CheckpointStore", "Classifier", "DataFrame", "Figure"]
