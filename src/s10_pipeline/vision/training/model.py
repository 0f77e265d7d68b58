"""Build the untrained network that both training and the range test start from."""

import math
from typing import Any

import numpy as np
import torch

from ..data.image_set import ImageSet
from ..data.resize import ResizeRule
from ..data.split import Split
from ..network.classifier import Classifier, ClassifierSpec, resolve_stem
from ..network.pretrained import read_pretrained
from ..network.whitening import PatchWhitening
from .params import StepParams

# Number of training images that a whitened stem (:class:`PatchWhitening`) is fitted to.
NUM_WHITENED = 1000

# Largest total number of pixels of the images that a whitened stem (a first layer computed from image patches) is
# fitted to. Larger images have more patches each, so fewer images are used.
NUM_WHITENED_PIXELS = 2**22


def build_classifier(images: ImageSet, train_set: Split, params: StepParams) -> Classifier:
    """Build a network for these images, on the CPU, with weights drawn from ``params.seed`` or pretrained.

    A whitened stem is fitted to the training images; training and the range test thus get equal weights.

    Raises:
        UserError: the pretrained weights cannot be read, or do not fit ``params.architecture``.
    """
    architecture = resolve_stem(params.architecture, images.image_size)
    network: dict[str, Any] = {"architecture": architecture, "mean": train_set.mean, "std": train_set.std}
    with torch.random.fork_rng(devices=[]):
        pretrained = read_pretrained(params.pretrained.path) if params.pretrained.path else None
        if pretrained:
            network = pretrained.describe_network(params.architecture)
        spec = ClassifierSpec(
            **network,
            class_names=images.class_names,
            resize=ResizeRule(image_size=images.image_size),
            title=str(images.source.get("title", "")),
            drawn=bool(images.source.get("drawn", False)),
        )
        torch.manual_seed(params.seed)
        model = Classifier(spec)
    first = model.network.stem[0]
    if pretrained:
        pretrained.load_into(model)
        if params.pretrained.freeze:
            model.freeze_backbone()
    elif isinstance(first, PatchWhitening):
        num_images = min(len(train_set), NUM_WHITENED, max(1, NUM_WHITENED_PIXELS // math.prod(images.image_size)))
        # Take evenly spaced training images, because images from folders are sorted by class.
        rows = np.linspace(0, len(train_set) - 1, num_images).astype(int)
        some = images.images_nhwc[train_set.indices[rows]]
        first.fit(model.normalise(torch.from_numpy(some).permute(0, 3, 1, 2)))
    return model
