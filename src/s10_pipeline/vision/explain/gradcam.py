"""Compute class activation maps with the grad-cam package.

The package changes modes, hooks and gradients of the model, so it gets a copy. Its context manager is not used, because
its ``__exit__`` suppresses IndexError.
"""

import copy
from collections.abc import Sequence

import numpy as np
import pytorch_grad_cam
import torch
from numpy.typing import NDArray
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

from ..data.loader import cap_batch_size
from ..errors import UserError, did_you_mean
from ..network.classifier import Classifier
from .params import METHODS, split_layers


class SignedEigenGradCAM(pytorch_grad_cam.EigenGradCAM):
    """Eigen-CAM of gradient x activation, with the sign that the sum of gradient x activation over channels has.

    The map is a projection on the first singular vector, whose sign is arbitrary and differs between LAPACK drivers, so
    the package inverts some of its maps. The sum over channels is HiResCAM's map, which shows the direction.
    """

    def get_cam_image(self, _inputs, _layer, _targets, activations, grads, _smooth):  # type: ignore[no-untyped-def]
        products_bcn = np.nan_to_num((grads * activations).reshape(*activations.shape[:2], -1))
        centred_bnc = (products_bcn - products_bcn.mean(2, keepdims=True)).transpose(0, 2, 1)
        # The thin decomposition has the same singular vectors of columns, and is many times faster on large maps.
        first_bc = np.linalg.svd(centred_bnc, full_matrices=False)[2][:, 0]
        cams_bn = np.einsum("bnc,bc->bn", centred_bnc, first_bc)
        signs_b = np.sign((cams_bn * centred_bnc.sum(2)).sum(1))
        return (cams_bn * signs_b[:, None]).reshape(-1, *activations.shape[2:])


def compute_cams(
    model: Classifier,
    images_nhwc: NDArray[np.uint8],
    targets: NDArray[np.integer],
    *,
    method: str,
    layer: str | Sequence[str],
    device: torch.device | str = "cpu",
    batch_size: int = 32,
) -> NDArray[np.float32]:
    """Compute class activation maps: where in each image the evidence for its target class is.

    The explained score is the class's logit. The model is not changed. Computation is always in float32, because the
    package fails under bf16 autocast.

    Args:
        model: takes uint8 images.
        images_nhwc: uint8 (N, H, W, 3), RGB; N may be 0.
        targets: class to explain in each image, integers (N,).
        method: one of :data:`~.params.METHODS`.
        layer: residual stage whose last block is explained, such as "layer3". For several (a sequence, or joined by
            "+"), the result is the mean of their maps after scaling each to 0-1.
        device: device that computes.
        batch_size: images per pass; fewer if they are large. It changes the maps only by rounding.

    Returns:
        float32 (N, H, W): each map scaled to 0-1 by its own minimum and maximum; zeros for a blank map
        (:func:`~.cams.is_blank`).

    Raises:
        UserError: the method is unknown, or the network has no such layer.
    """
    if method not in METHODS:
        raise UserError(f"explain.method={method}: no such method; {did_you_mean(method, METHODS)}")
    num_classes = len(model.class_names)
    if len(targets) != len(images_nhwc) or any(not 0 <= target < num_classes for target in targets):
        raise ValueError(f"targets: one class in 0..{num_classes - 1} is needed for each of {len(images_nhwc)} images")

    cams_nhw = np.zeros(images_nhwc.shape[:3], np.float32)
    fitting = cap_batch_size(batch_size, images_nhwc.shape[1:3])
    with torch.inference_mode(False), torch.enable_grad():
        # Copy the model outside inference mode, because tensors that are created in it cannot have gradients.
        explained = copy.deepcopy(model).eval().requires_grad_(False).to(device)
        eigen = method == "eigengradcam"
        cam_type = SignedEigenGradCAM if eigen else getattr(pytorch_grad_cam, METHODS[method])
        cam = cam_type(model=explained, target_layers=find_blocks(explained, layer))
        for start in range(0, len(images_nhwc), fitting):
            rows = slice(start, start + fitting)
            # All parameters of the model are frozen, so the input must require gradients; otherwise no gradient would
            # reach the explained block. Only float tensors can require gradients.
            x_bhwc = torch.from_numpy(np.ascontiguousarray(images_nhwc[rows])).to(device, torch.float32)
            x_bchw = x_bhwc.permute(0, 3, 1, 2).requires_grad_()
            with torch.autocast(x_bchw.device.type, enabled=False):
                cams_nhw[rows] = cam(x_bchw, [ClassifierOutputTarget(int(target)) for target in targets[rows]])
    return np.nan_to_num(cams_nhw, copy=False).clip(0, 1)


def find_blocks(model: Classifier, layer: str | Sequence[str]) -> list[torch.nn.Module]:
    """Return the last block of each residual stage in ``layer``; raise UserError if the network lacks such a stage."""
    return [model.last_block(name) for name in split_layers(layer)]


def find_grids(model: Classifier, layer: str | Sequence[str], image_size: tuple[int, int]) -> list[tuple[int, int]]:
    """Return the numbers of rows and columns of each explained layer's feature map, for images of ``image_size``.

    This is the resolution of a layer's class activation maps before they are enlarged.
    """
    grids: list[tuple[int, int]] = []
    probed = copy.deepcopy(model).eval()
    for block in find_blocks(probed, layer):
        block.register_forward_hook(lambda _module, _inputs, output: grids.append(tuple(output.shape[2:])))
    probed.probabilities(torch.zeros(1, 3, *image_size, dtype=torch.uint8))
    return grids
