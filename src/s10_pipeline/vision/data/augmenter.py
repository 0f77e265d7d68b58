"""Apply albumentations transforms reproducibly in any process, in a third of the time that albumentations needs."""

import random
from collections.abc import Callable
from typing import Any

import albumentations as A
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]


class Augmenter:
    """Augments an image; the result depends only on (seed, epoch, index of the image).

    So the number of workers, their start method and earlier calls do not change it. (albumentations 2.0.8 by itself
    draws the same random numbers in every worker.) The result is bit-identical to ``transforms(image=...)`` with the
    same random state.

    Args:
        transforms: the pipeline; this object takes over its random state.
        seed: 0 <= seed < 2**32.
    """

    def __init__(self, transforms: A.Compose, seed: int) -> None:
        self._seed = seed
        self._bits = np.random.Philox(0)
        self._python = random.Random(0)
        transforms.set_random_state(np.random.Generator(self._bits), self._python)
        self._steps = [_step(transform, self._python) for transform in transforms.transforms]
        self._counter, self._key = np.zeros(4, np.uint64), np.zeros(2, np.uint64)
        self._state: Any = {
            "bit_generator": "Philox",
            "state": {"counter": self._counter, "key": self._key},
            "buffer": np.zeros(4, np.uint64),
            "buffer_pos": 4,
            "has_uint32": 0,
            "uinteger": 0,
        }

    def __call__(self, image_hwc: Image, epoch: int, index: int) -> Image:
        """Return the augmented image, uint8, of the same shape."""
        self._reset(epoch, index)
        self._python.random()  # A.Compose draws one number before the transforms do: draw one here, for equal results
        for step in self._steps:
            image_hwc = step(image_hwc)
        return image_hwc

    def _reset(self, epoch: int, index: int) -> None:
        # Philox is a counter-based generator (Salmon et al. 2011): setting its key and counter takes microseconds,
        # whereas seeding a new generator would take 0.1 ms per image.
        self._counter[2] = index
        self._key[:] = self._seed, epoch
        self._bits.state = self._state
        self._python.seed((self._seed << 96) | (epoch << 48) | index)


def _step(transform: A.BasicTransform | A.BaseCompose, generator: random.Random) -> Callable[[Image], Image]:
    """Return a transform as a plain function of an image, without albumentations' overhead.

    On small images, albumentations spends most of its time on the handling of masks, boxes and key points. The function
    does only what ``BasicTransform.__call__`` does for the image.
    """
    # call albumentations itself for compositions (such as OneOf) and for transforms with their own version of a method
    # that step() skips
    special = not isinstance(transform, A.BasicTransform) or any(
        getattr(type(transform), name) is not getattr(A.BasicTransform, name)
        for name in ("__call__", "apply_with_params", "should_apply")
    )
    if special or transform.targets_as_params:
        return lambda image: transform(image=image)["image"]
    apply, chance = transform.targets["image"], transform.p

    def step(image: Image) -> Image:
        if chance < 1 and (chance <= 0 or generator.random() >= chance):
            return image
        data = {"image": image}
        params: dict[str, Any] = transform.update_transform_params(transform.get_params(), data)
        params.update(transform.get_params_dependent_on_data(params, data))
        return np.ascontiguousarray(apply(np.ascontiguousarray(image), **params))

    return step
