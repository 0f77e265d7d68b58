"""Data sources. Each module named in :data:`~..params.SOURCES` has ``read(params) -> (train, test)``."""

import logging
from importlib import import_module

import numpy as np

from ..corrections import apply_corrections
from ..faults import plant_faults
from ..image_set import ImageSet
from ..params import SOURCES, IngestParams

_log = logging.getLogger(__name__)


def read_source(params: IngestParams) -> tuple[ImageSet, ImageSet]:
    """Read training and test images; then plant faults and apply corrections if the parameters ask for them.

    The number of images per class is logged.

    Raises:
        UserError: the source cannot be read, or a fault or correction does not fit it.
    """
    train, test = import_module(f".{SOURCES[params.source]}", __package__).read(params)
    if params.plant:
        train, test = plant_faults(train, test, params.plant, params.seed)
    if params.corrections:
        train = apply_corrections(train, test, params.corrections)
    for split, images in (("training", train), ("test", test)):
        counts = np.bincount(images.labels, minlength=len(images.class_names)).tolist()
        if missing := [name for name, count in zip(images.class_names, counts, strict=True) if not count]:
            _log.warning("ingest.source=%s: no %s images of %s", params.source, split, ", ".join(missing))
        told = [f"{name} {count:,}" for name, count in zip(images.class_names, counts, strict=True)]
        more = f", ... ({len(told) - 20} more)" if len(told) > 20 else ""
        _log.info("%s %s images of %d classes: %s%s", f"{len(images):,}", split, len(told), ", ".join(told[:20]), more)
    return train, test
