"""Parameters of the ``predict`` stage."""

from pydantic import Field

from ..params import Params


class PredictParams(Params):
    """The user's own images.

    Attributes:
        path: an image file, or a folder that is searched with its sub-folders.
        batch_size: images a forward pass.
        num_gallery_images: how many of the first images the gallery shows with their Grad-CAM.
    """

    path: str | None = None
    batch_size: int = Field(64, ge=1)
    num_gallery_images: int = Field(25, ge=1, le=1000)
