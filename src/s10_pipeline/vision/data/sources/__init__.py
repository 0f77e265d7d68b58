"""Readers of sources. Each module of :data:`~..params.SOURCES` has ``read(params) -> (train, test)``."""

from collections.abc import Callable
from importlib import import_module

from ..faults import plant_faults
from ..image_set import ImageSet
from ..params import SOURCES, IngestParams

Reader = Callable[[IngestParams], tuple[ImageSet, ImageSet]]


def read_source(params: IngestParams) -> tuple[ImageSet, ImageSet]:
    """Read training and test images from ``params.source``, and plant the faults of ``params.plant``.

    Raises:
        UserError: anything about the source that the user can mend.
    """
    reader: Reader = import_module(f".{SOURCES[params.source]}", __package__).read
    train, test = reader(params)
    return plant_faults(train, test, params.plant, params.seed) if params.plant else (train, test)
