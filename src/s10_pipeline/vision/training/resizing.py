"""Progressive resizing: the first epochs see images scaled down, which takes a fraction of the time.

Howard 2018, https://www.fast.ai/posts/2018-08-10-fastai-diu-imagenet.html. Batches are resized on the device after
augmentation, so transforms see whole images in every epoch.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from .params import TrainParams

# Sides are multiples of it, so that three or four halvings of the feature maps waste no pixels at borders.
STEP = 4


def size_in(epoch: int, image_size: tuple[int, int], train: TrainParams) -> tuple[int, int]:
    """Height and width in pixels that an epoch (from 1) trains at; it is measured on whole images.

    The side grows linearly from ``resizing.start`` of the whole in the first epoch; after ``resizing.epochs`` epochs,
    and in the last one at any rate, images are whole.
    """
    if epoch > train.resized_epochs:
        return image_size
    share = train.resizing.start + (1 - train.resizing.start) * (epoch - 1) / train.resized_epochs
    height, width = (min(side, max(STEP, STEP * round(share * side / STEP))) for side in image_size)
    return height, width


def resize_batch(images_bchw: Tensor, size: tuple[int, int]) -> Tensor:
    """Images (B, 3, H, W), 0-255, at another size: bilinear with antialiasing, float32; as they are if they fit."""
    if tuple(images_bchw.shape[2:]) == size:
        return images_bchw
    return F.interpolate(images_bchw.to(torch.float32), size=size, mode="bilinear", antialias=True)
