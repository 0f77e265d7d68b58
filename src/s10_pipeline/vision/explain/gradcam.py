"""Class activation maps, by the grad-cam package.

Why it does not use the package's ``with`` statement: its ``__exit__`` swallows IndexError, and what a
call leaves behind (evaluation mode, gradients) has to be undone anyway.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

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

    The score explained is the class's logit. The model is left as it was found: mode, gradients,
    ``requires_grad``, device. Always in float32: the package fails under bf16 autocast.

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
    blocks = find_blocks(model, layer)
    num_classes = len(model.class_names)
    if len(targets) != len(images_nhwc) or any(not 0 <= target < num_classes for target in targets):
        raise ValueError(f"targets: one class in 0..{num_classes - 1} is needed for each of {len(images_nhwc)} images")

    cams_nhw = np.zeros(images_nhwc.shape[:3], np.float32)
    fitting = cap_batch_size(batch_size, images_nhwc.shape[1:3])
    with _left_as_found(model, device), torch.inference_mode(False), torch.enable_grad():
        cam = getattr(pytorch_grad_cam, METHODS[method])(model=model, target_layers=blocks)
        try:
            for start in range(0, len(images_nhwc), fitting):
                rows = slice(start, start + fitting)
                # floating point, because gradients reach the block by way of the input: all parameters are frozen
                x_bhwc = torch.from_numpy(np.ascontiguousarray(images_nhwc[rows])).to(device, torch.float32)
                x_bchw = x_bhwc.permute(0, 3, 1, 2).requires_grad_()
                with torch.autocast(x_bchw.device.type, enabled=False):
                    cams_nhw[rows] = cam(x_bchw, [ClassifierOutputTarget(int(target)) for target in targets[rows]])
        finally:
            cam.activations_and_grads.release()
    return np.nan_to_num(cams_nhw, copy=False).clip(0, 1)


def find_blocks(model: Classifier, layer: str | Sequence[str]) -> list[torch.nn.Module]:
    """The blocks that ``layer`` names, as of :func:`compute_cams`; UserError where the network lacks one."""
    return [model.last_block(name) for name in split_layers(layer)]


def find_grids(model: Classifier, layer: str | Sequence[str], image_size: tuple[int, int]) -> list[tuple[int, int]]:
    """Rows and columns of cells that each of the layers has on images of this size: a map's own resolution."""
    grids: list[tuple[int, int]] = []
    hooks = [
        block.register_forward_hook(lambda _module, _inputs, output: grids.append(tuple(output.shape[2:])))
        for block in find_blocks(model, layer)
    ]
    try:
        model.eval().probabilities(torch.zeros(1, 3, *image_size, dtype=torch.uint8))
    finally:
        for hook in hooks:
            hook.remove()
    return grids


@contextmanager
def _left_as_found(model: torch.nn.Module, device: torch.device | str) -> Iterator[None]:
    """In evaluation mode, frozen and on ``device`` inside; afterwards as before."""
    modes = [(module, module.training) for module in model.modules()]
    parameters = [(p, p.requires_grad, p.grad) for p in model.parameters()]
    home = next(model.parameters()).device
    try:
        for parameter, _, _ in parameters:
            parameter.grad = None
        model.eval().requires_grad_(False).to(device)
        yield
    finally:
        model.to(home)
        for module, training in modes:
            module.training = training
        for parameter, requires_grad, grad in parameters:
            parameter.requires_grad_(requires_grad).grad = grad
