"""Names for type hints of code that must not wait for heavy imports.

Kedro resolves a node function's hints at run time, so names that exist only for type checkers would break its
typed parameters; here they are ``object`` at run time.
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
