"""Read training and test images from the data source that ``ingest.source`` names.

Each module named in :data:`~..params.SOURCES` has a function ``read(params) -> (train, test)``.
"""

import logging
from importlib import import_module

import numpy as np

from ..corrections import apply_corrections
from ..faults import plant_faults
from ..image_set import ImageSet
from ..params import SOURCES, IngestParams

_log = logging.getLogger(__name__)


def read_source(params: IngestParams) -> tuple[ImageSet, ImageSet]:
    """Read training and test images from the data source that ``params.source`` names.

    If the parameters say so, faults (deliberate errors) are then planted in the images, and the user's corrections are
    applied. The number of images per class is logged.

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
        if names := ", ".join(name for name, count in zip(images.class_names, counts, strict=True) if not count):
            _log.warning(
                "ingest.source=%s: no %s images of %s; add some or leave these classes out", params.source, split, names
            )
        per_class = [f"{name} {count:,}" for name, count in zip(images.class_names, counts, strict=True)]
        listed = ", ".join(per_class[:20]) + (f", ... ({len(counts) - 20} more)" if len(counts) > 20 else "")
        _log.info("%s %s images of %d classes, images per class: %s", f"{len(images):,}", split, len(counts), listed)
    return train, test
