"""Progressive resizing: the first epochs train on downscaled images, which takes a fraction of the time.

Howard 2018, https://www.fast.ai/posts/2018-08-10-fastai-diu-imagenet.html. Batches are resized on the device after
augmentation, so transforms see whole images in every epoch.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from .params import TrainParams

# Side lengths of downscaled images are multiples of this number of pixels, so that fewer border pixels are lost where
# the network halves its feature maps.
STEP = 4


def size_in(epoch: int, image_size: tuple[int, int], train: TrainParams) -> tuple[int, int]:
    """Return the height and width, in pixels, to which training images are scaled in an epoch (from 1).

    The side length grows linearly, from the share ``resizing.start`` of the full side in the first epoch. Images have
    full size after ``resizing.epochs`` epochs, and always in the last epoch.
    """
    if epoch > train.resized_epochs:
        return image_size
    share = train.resizing.start + (1 - train.resizing.start) * (epoch - 1) / train.resized_epochs
    height, width = (min(side, max(STEP, STEP * round(share * side / STEP))) for side in image_size)
    return height, width


def resize_batch(images_bchw: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize images (B, 3, H, W), 0-255, bilinearly with antialiasing, to float32.

    Images that have the size already are returned unchanged, with their own dtype.
    """
    if tuple(images_bchw.shape[2:]) == size:
        return images_bchw
    return F.interpolate(images_bchw.to(torch.float32), size=size, mode="bilinear", antialias=True)
