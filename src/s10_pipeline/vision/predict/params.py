"""Parameters of the ``predict`` stage."""

from pydantic import Field

from ..params import Params


class PredictParams(Params):
    """Parameters of the prediction of the user's own images.

    Attributes:
        path: an image file, or a folder that is searched with its sub-folders.
        batch_size: number of images that are read and predicted together; fewer if they are large.
        top_k: number of most probable classes that the table names for each image; all classes if there are fewer.
        num_gallery_images: number of images, in order of path, that the gallery shows with their Grad-CAM maps.
    """

    path: str | None = None
    batch_size: int = Field(64, ge=1)
    top_k: int = Field(3, ge=1)
    num_gallery_images: int = Field(25, ge=1, le=1000)
