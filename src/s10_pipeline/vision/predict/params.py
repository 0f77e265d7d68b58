"""Parameters of the ``predict`` stage."""

from pydantic import Field

from ..params import Params


class PredictParams(Params):
    """The user's own images.

    Attributes:
        path: an image file, or a folder that is searched with its sub-folders.
        batch_size: images that are read and computed together.
        top_k: how many of the likeliest classes the table names for each image; all where there are fewer.
        num_gallery_images: how many of the first images the gallery shows with their Grad-CAM.
    """

    path: str | None = None
    batch_size: int = Field(64, ge=1)
    top_k: int = Field(3, ge=1)
    num_gallery_images: int = Field(25, ge=1, le=1000)
