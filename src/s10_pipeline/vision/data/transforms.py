"""Build albumentations pipelines from parameters, with checks of names, arguments and results."""

import random
import warnings
from inspect import isclass, signature
from typing import Any

import albumentations as A
import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from ..errors import UserError, did_you_mean, one_line
from .cutout import OUR_TRANSFORMS

# OpenCV's own threads are slower on small images, and compete with the data-loading processes for cores.
cv2.setNumThreads(0)

# Number of times that a transform is applied in the check, because some change an image's size or type only at times.
NUM_DRAWS = 100

TransformSpec = dict[str, dict[str, Any]]


def known_transforms() -> dict[str, type[A.BasicTransform | A.BaseCompose]]:
    """Return all transforms and compositions of albumentations and of this project, by name."""
    bases = (A.BasicTransform, A.BaseCompose)
    library = {n: t for n, t in vars(A).items() if isclass(t) and issubclass(t, bases) and t not in bases}
    return {**library, **OUR_TRANSFORMS}


def build_transforms(specs: list[TransformSpec], mean: tuple[float, ...]) -> A.Compose:
    """Build one albumentations pipeline from a list of transforms, ``[{NAME: {arguments}}, ...]``.

    Compositions (``OneOf``, ``SomeOf``, ``Sequential``, ...) take such a list as their argument ``transforms``.

    Args:
        specs: the list, as in ``augment.train``.
        mean: mean of the training images per channel, 0-255; it replaces the argument ``fill: mean``.

    Raises:
        UserError: a name or argument is unknown, or albumentations rejects a value.
    """
    return A.Compose([_build(spec, mean) for spec in specs])


def _build(spec: TransformSpec, mean: tuple[float, ...]) -> A.BasicTransform | A.BaseCompose:
    known = known_transforms()
    if not isinstance(spec, dict) or len(spec) != 1:
        raise UserError(
            f"augment.train={spec}: a transform is written as NAME: {{arguments}}; put a dash before each transform"
        )
    ((name, arguments),) = spec.items()
    if name not in known:
        raise UserError(f"augment.train={name}: albumentations has no such transform; {did_you_mean(name, known)}")
    transform = known[name]
    arguments = dict(arguments or {})
    names = [p for p in signature(transform).parameters if p not in ("args", "kwargs")]
    for argument in arguments:
        if argument not in names:
            remedy = did_you_mean(argument, names)
            raise UserError(f"augment.train.{name}.{argument}: {name} has no such argument; {remedy}")
    if "transforms" in arguments:
        arguments["transforms"] = [_build(child, mean) for child in arguments["transforms"]]
    if arguments.get("fill") == "mean":
        arguments["fill"] = tuple(round(value) for value in mean)
    try:
        # albumentations only warns about an argument that it ignores, so warnings are made errors
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            return transform(**arguments)
    except (TypeError, ValueError, UserWarning) as error:
        raise UserError(f"augment.train.{name}: {_reason(error)}; see albumentations' page of {name}") from error


def _reason(error: BaseException) -> str:
    """Return the message of an error in one line; if pydantic reports several wrong arguments, only the first."""
    cause = error.__cause__
    if isinstance(cause, ValidationError):
        first = cause.errors()[0]
        place = next((str(part) for part in first["loc"]), "")
        return f"{place}={first.get('input')}: {first['msg']}".replace("\n", " ")
    return one_line(error)


def check_keeps_images(transforms: A.Compose, image_hwc: NDArray[np.uint8]) -> None:
    """Apply each transform with probability 1 to one image ``NUM_DRAWS`` times; check that shape and type are kept.

    Raises:
        UserError: a transform changes shape or type, or fails on an image alone.
    """
    for transform in transforms.transforms:
        name = type(transform).__name__
        alone = A.Compose([transform], p=1.0)
        alone.set_random_state(np.random.default_rng(0), random.Random(0))
        chance = transform.p
        if not isinstance(transform, A.OneOrOther):  # its p chooses between two transforms
            transform.p = 1.0
        try:
            kinds = [_kind(alone(image=image_hwc)["image"]) for _ in range(NUM_DRAWS)]
        except Exception as error:
            raise UserError(
                f"augment.train.{name}: fails on an image of {image_hwc.shape[0]}x{image_hwc.shape[1]} pixels "
                f"({type(error).__name__}: {_reason(error)}); change its arguments or remove it"
            ) from error
        finally:
            transform.p = chance
        before, *others = dict.fromkeys([_kind(image_hwc), *kinds])
        if others:
            raise UserError(
                f"augment.train.{name}: changes {before} to {others[0]}; use transforms that keep size and type "
                "(the model normalises images itself; PaddedRandomCrop crops without changing the size)"
            )


def _kind(image: NDArray[Any]) -> str:
    """Return data type and shape of an image as text, such as "uint8 32x32x3"."""
    return f"{image.dtype} {'x'.join(map(str, image.shape))}"
