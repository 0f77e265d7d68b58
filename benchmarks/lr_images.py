"""Read or draw the images of the settings in which learning-rate finders are scored."""

import json
from functools import cache

import numpy as np

from s10_pipeline.vision.data.image_set import ImageSet
from s10_pipeline.vision.data.params import IngestParams
from s10_pipeline.vision.data.sources import read_source

NUM_SCORING, NUM_SCORING_DIGITS = 4000, 600


@cache
def read_images(data_json: str, cifar: str | None) -> tuple[ImageSet, ImageSet]:
    """Return the images of a setting, which include its validation images, and its scoring images."""
    data = json.loads(data_json)
    if data["source"] == "digits":
        return _digits(data.get("images"))
    if data["source"] == "shapes10":
        kept = data.get("classes", 10)  # out of ten blocks; each ten images have every class once
        sizes = {"num_train_images": data["images"] * 10 // kept, "num_test_images": NUM_SCORING}
        size = data.get("image_size", 32)
        drawn = read_source(IngestParams.model_validate({"source": "shapes10", "image_size": size, "shapes10": sizes}))
        train, scoring = (_part(images, np.flatnonzero(images.labels < kept)) for images in drawn)
        return train, scoring
    images = _cifar(cifar)
    chosen = np.arange(data["images"])
    if "rarest" in data:
        # the share of images kept of class k decreases geometrically from 1 to `rarest`
        share = data["rarest"] ** (images.labels[chosen] / (len(images.class_names) - 1))
        chosen = chosen[np.random.default_rng(0).random(len(chosen)) < share]
    return _part(images, chosen), _part(images, np.arange(len(images) - NUM_SCORING, len(images)))


@cache
def _cifar(folder: str | None) -> ImageSet:
    """Return CIFAR-10's training images; its test images are not used in this benchmark."""
    if folder is None:
        raise SystemExit("--cifar=DIR: this setting reads CIFAR-10 as a folder of parquet files; give it")
    return read_source(IngestParams(source="parquet", path=folder))[0]


def _part(images: ImageSet, chosen: np.ndarray) -> ImageSet:
    names = images.class_names[: int(images.labels[chosen].max()) + 1]
    return ImageSet(images.images_nhwc[chosen], images.labels[chosen], names)


def _digits(num_images: int | None) -> tuple[ImageSet, ImageSet]:
    """Return the handwritten digits of scikit-learn, 8 x 8 pixels enlarged to 16 x 16."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    grey = np.kron(digits.images * (255 / 16), np.ones((1, 2, 2))).astype(np.uint8)
    order = np.random.default_rng(0).permutation(len(grey))
    whole = ImageSet(np.repeat(grey[..., None], 3, axis=3), digits.target.astype(np.int64), tuple("0123456789"))
    rest = order[NUM_SCORING_DIGITS:][:num_images]
    return _part(whole, rest), _part(whole, order[:NUM_SCORING_DIGITS])
