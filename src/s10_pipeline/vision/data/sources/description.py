"""What an image set says about where it came from."""

from typing import Any

from ..params import IngestParams
from ..resize import describe_rule


def describe_source(
    params: IngestParams, split: str, title: str, checksum: str, **parameters: object
) -> dict[str, Any]:
    """``ImageSet.source`` of a source that reads files; ``parameters`` besides those that all have."""
    return {
        "name": params.source,
        "split": split,
        "title": title,
        "checksum": checksum,
        "parameters": {"source": params.source, "image_size": params.image_size, **parameters},
        "resize": describe_rule((params.image_size, params.image_size)),
    }
