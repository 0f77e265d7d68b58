"""Progressive resizing: the first epochs see images scaled down, which takes a fraction of the time.

Howard 2018, https://www.fast.ai/posts/2018-08-10-fastai-diu-imagenet.html
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from .params import ResizingParams

# Sides are multiples of it, so that three or four halvings of the feature maps waste no pixels at borders.
STEP = 4


def size_in(epoch: int, image_size: tuple[int, int], params: ResizingParams) -> tuple[int, int]:
    """Height and width in pixels that an epoch (from 1) trains at and is measured at.

    The side grows linearly from ``start`` of the whole in the first epoch; after ``epochs`` epochs images are whole.
    """
    if epoch > params.epochs:
        return image_size
    share = params.start + (1 - params.start) * (epoch - 1) / params.epochs
    height, width = (min(side, max(STEP, STEP * round(share * side / STEP))) for side in image_size)
    return height, width


def resize_batch(images_bchw: Tensor, size: tuple[int, int]) -> Tensor:
    """Images (B, 3, H, W), 0-255, at another size: bilinear with antialiasing, float32; as they are if they fit."""
    if tuple(images_bchw.shape[2:]) == size:
        return images_bchw
    return F.interpolate(images_bchw.to(torch.float32), size=size, mode="bilinear", antialias=True)
