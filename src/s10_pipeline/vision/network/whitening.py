"""A fixed first layer that whitens image patches, so that later layers get uncorrelated inputs of equal variance.

Page 2018, "How to Train Your ResNet 8: Bag of Tricks"; used by Jordan 2024, arXiv:2404.00498. In the environment
``sample``, all of three seeds learned with it, but only two of three with a trained stem.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# Side length of the whitened image patches, in pixels.
SIDE = 3
# Constant that is added to the variance of each principal component before whitening, so that components with little
# but noise are not amplified. The value is that of Page 2018; a normalised pixel has a variance of about 1.
FLOOR = 1e-2


class PatchWhitening(nn.Module):
    """3x3 convolution whose filters are the principal components of image patches, scaled to equal variance.

    Its weights are not trained: :meth:`fit` sets them once from training images. They are stored with the model.
    """

    out_channels = 3 * SIDE**2
    weight: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(self.out_channels, 3, SIDE, SIDE))

    def forward(self, x_bchw: Tensor) -> Tensor:
        return F.conv2d(x_bchw, self.weight, padding=SIDE // 2)

    @torch.no_grad()
    def fit(self, x_bchw: Tensor) -> None:
        """Compute the weights of the whitening layer from normalised images (B, 3, H, W), floating point."""
        mean_d = torch.zeros(self.out_channels, dtype=torch.float64)
        products_dd = torch.zeros(self.out_channels, self.out_channels, dtype=torch.float64)
        # Take images one by one, because the patches of an image need much more memory than the image.
        for x_chw in x_bchw:
            patches_dn = F.unfold(x_chw[None].double().contiguous(), SIDE)[0]
            mean_d += patches_dn.mean(1) / len(x_bchw)
            products_dd += patches_dn @ patches_dn.T / patches_dn.shape[1] / len(x_bchw)
        variances, directions = torch.linalg.eigh(products_dd - torch.outer(mean_d, mean_d))
        filters = (directions / torch.sqrt(variances + FLOOR)).T
        # the sign of an eigenvector is arbitrary, so make the component with the largest absolute value positive
        largest = filters.gather(1, filters.abs().argmax(1, keepdim=True))
        self.weight.copy_((filters * largest.sign()).flip(0).reshape(self.weight.shape))
