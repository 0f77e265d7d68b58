"""Image sets of sources that read files, and what they say about where they came from."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ....identity.digests import sha256_of
from ..image_set import ImageSet
from ..params import IngestParams
from ..resize import describe_rule

# Pixels, labels and, where there are files, their paths.
Content = tuple[NDArray[np.uint8], NDArray[np.int64], tuple[str, ...] | None]


def image_sets(
    params: IngestParams,
    title: str,
    checksum: str,
    class_names: tuple[str, ...],
    contents: Mapping[str, Content],
    **parameters: object,
) -> tuple[ImageSet, ImageSet]:
    """Return training and test images with their ``source``.

    Args:
        contents: of the splits ``train`` and ``test``.
        parameters: for ``source``, besides those that all sources have.
    """
    train, test = (
        ImageSet(
            pixels,
            labels,
            class_names,
            paths,
            source={
                "name": params.source,
                "split": split,
                "title": title,
                "checksum": checksum,
                "parameters": {"source": params.source, "image_size": params.image_size, **parameters},
                "resize": describe_rule((params.image_size, params.image_size)),
            },
        )
        for split, (pixels, labels, paths) in contents.items()
    )
    return train, test


def checksum_of(digests: Mapping[str, object]) -> str:
    """Return the SHA-256 over names of files and digests of their contents, in the order given."""
    lines = "".join(f"{name}\0{digest}\n" for name, digest in digests.items())
    return f"sha256:{sha256_of(lines.encode())}"
