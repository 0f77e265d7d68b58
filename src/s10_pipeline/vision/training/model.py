"""A fresh network for some images, as training and the range test both start from."""

import math

import numpy as np
import torch

from ..data.image_set import ImageSet
from ..data.resize import ResizeRule
from ..data.split import Split
from ..network.classifier import Classifier, ClassifierSpec, resolve_stem
from ..network.whitening import PatchWhitening
from .params import StepParams

# Images that a whitened stem is fitted to; fewer where those have more pixels than this, since patches are what counts.
NUM_WHITENED, NUM_WHITENED_PIXELS = 1000, 2**22


def build_classifier(images: ImageSet, train_set: Split, params: StepParams) -> Classifier:
    """A network for these images, on the CPU: its weights are a function of ``params.seed``.

    Those of a whitened stem are one of training images from all over the set, since folders come sorted by class.
    """
    spec = ClassifierSpec(
        architecture=resolve_stem(params.architecture, images.image_size),
        class_names=images.class_names,
        mean=train_set.mean,
        std=train_set.std,
        resize=ResizeRule(image_size=images.image_size),
        title=str(images.source.get("title", "")),
        drawn=bool(images.source.get("drawn", False)),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(params.seed)
        model = Classifier(spec)
    first = model.network.stem[0]
    if isinstance(first, PatchWhitening):
        num_images = min(len(train_set), NUM_WHITENED, max(1, NUM_WHITENED_PIXELS // math.prod(images.image_size)))
        rows = np.linspace(0, len(train_set) - 1, num_images).astype(int)
        some = images.images_nhwc[train_set.indices[rows]]
        first.fit(model.normalise(torch.from_numpy(some).permute(0, 3, 1, 2)))
    return model
