"""Class activation maps, by the grad-cam package.

The package sets modes, hooks and gradients, so it is handed a copy of the model. Its ``with`` statement is not used,
because its ``__exit__`` swallows IndexError.
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
    """Where in each image the evidence for a class lies.

    The score explained is the class's logit. The model is left as it was found. Always in float32: the package fails
    under bf16 autocast.

    Args:
        model: takes uint8 images.
        images_nhwc: uint8 (N, H, W, 3), RGB; N may be 0.
        targets: integers (N,): the class to explain in each image.
        method: one of :data:`~.params.METHODS`.
        layer: residual stage whose last block is looked at, "layer1" ...; of several (a sequence, or joined by
            "+") the mean of their maps, each scaled to 0-1 before.
        device: where to compute.
        batch_size: images a pass, fewer where they are large; does not change the maps beyond rounding.

    Returns:
        float32 (N, H, W): each map scaled to 0-1 by its own extremes; all zeros where it is blank
        (see :func:`~.cams.is_blank`).

    Raises:
        UserError: unknown method, or a layer that the network lacks.
    """
    if method not in METHODS:
        raise UserError(f"explain.method={method}: no such method; {did_you_mean(method, METHODS)}")
    num_classes = len(model.class_names)
    if len(targets) != len(images_nhwc) or any(not 0 <= target < num_classes for target in targets):
        raise ValueError(f"targets: one class in 0..{num_classes - 1} is needed for each of {len(images_nhwc)} images")

    cams_nhw = np.zeros(images_nhwc.shape[:3], np.float32)
    fitting = cap_batch_size(batch_size, images_nhwc.shape[1:3])
    with torch.inference_mode(False), torch.enable_grad():
        # a copy made in inference mode would know no gradients
        explained = copy.deepcopy(model).eval().requires_grad_(False).to(device)
        cam = getattr(pytorch_grad_cam, METHODS[method])(model=explained, target_layers=find_blocks(explained, layer))
        for start in range(0, len(images_nhwc), fitting):
            rows = slice(start, start + fitting)
            # floating point, because gradients reach the block by way of the input: all parameters are frozen
            x_bhwc = torch.from_numpy(np.ascontiguousarray(images_nhwc[rows])).to(device, torch.float32)
            x_bchw = x_bhwc.permute(0, 3, 1, 2).requires_grad_()
            with torch.autocast(x_bchw.device.type, enabled=False):
                cams_nhw[rows] = cam(x_bchw, [ClassifierOutputTarget(int(target)) for target in targets[rows]])
    return np.nan_to_num(cams_nhw, copy=False).clip(0, 1)


def find_blocks(model: Classifier, layer: str | Sequence[str]) -> list[torch.nn.Module]:
    """The blocks that ``layer`` names, as of :func:`compute_cams`; UserError where the network lacks one."""
    return [model.last_block(name) for name in split_layers(layer)]


def find_grids(model: Classifier, layer: str | Sequence[str], image_size: tuple[int, int]) -> list[tuple[int, int]]:
    """Rows and columns of cells that each of the layers has on images of this size: a map's own resolution."""
    grids: list[tuple[int, int]] = []
    probed = copy.deepcopy(model).eval()
    for block in find_blocks(probed, layer):
        block.register_forward_hook(lambda _module, _inputs, output: grids.append(tuple(output.shape[2:])))
    probed.probabilities(torch.zeros(1, 3, *image_size, dtype=torch.uint8))
    return grids
