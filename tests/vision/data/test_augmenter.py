import random

import numpy as np
import pytest

from s10_pipeline.vision.data.augmenter import Augmenter
from s10_pipeline.vision.data.transforms import build_transforms

TRANSFORMS = [
    {"PaddedRandomCrop": {"padding": 4}},
    {"HorizontalFlip": {"p": 0.5}},
    {"HueSaturationValue": {"p": 0.5}},
    {"GaussNoise": {"p": 0.5}},
    {"OneOf": {"transforms": [{"Rotate": {"limit": 10}}, {"CoarseDropout": {}}], "p": 0.9}},
    {"Cutout": {"size": 0.5, "p": 0.5}},
]
IMAGE = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)


def augmenter(seed: int = 0, specs: list = TRANSFORMS) -> Augmenter:
    return Augmenter(build_transforms(specs, (0.0, 0.0, 0.0)), seed)


def test_a_look_depends_on_seed_epoch_and_index_alone():
    forward, backward = augmenter(), augmenter()
    keys = [(epoch, index) for epoch in range(3) for index in range(30)]
    looks = {key: forward(IMAGE, *key) for key in keys}
    for key in reversed(keys):
        assert (backward(IMAGE, *key) == looks[key]).all(), key


# what people put into augment.train: each with half a chance, so that both ways are taken
COMMON = [
    "Affine", "Blur", "CLAHE", "ChannelShuffle", "CoarseDropout", "ColorJitter", "ElasticTransform", "Equalize",
    "GaussNoise", "GaussianBlur", "GridDistortion", "HorizontalFlip", "HueSaturationValue", "ISONoise",
    "ImageCompression", "MotionBlur", "MultiplicativeNoise", "OpticalDistortion", "PaddedRandomCrop", "Perspective",
    "PixelDropout", "Posterize", "RGBShift", "RandomBrightnessContrast", "RandomGamma", "RandomRotate90",
    "RandomShadow", "Rotate", "Sharpen", "Solarize", "ToGray", "Transpose", "VerticalFlip", "Cutout",
]  # fmt: skip


@pytest.mark.parametrize("name", [*COMMON, "all"])
@pytest.mark.parametrize("p", [0.0, 0.5, 1.0])
def test_equals_albumentations_with_the_same_random_state(name, p):
    specs = TRANSFORMS if name == "all" else [{name: {"p": p}}]
    ours, theirs = augmenter(7, specs), build_transforms(specs, (0.0, 0.0, 0.0))
    bits, python = np.random.Philox(0), random.Random(0)
    theirs.set_random_state(np.random.Generator(bits), python)
    for index in range(20):
        epoch = index // 5
        look = ours(IMAGE, epoch, index)
        # a new generator in the state that a look starts from
        bits.state = np.random.Philox(key=np.array([7, epoch], np.uint64), counter=np.array([0, 0, index, 0])).state
        python.seed((7 << 96) | (epoch << 48) | index)
        assert (look == theirs(image=IMAGE)["image"]).all(), index
        assert look.flags.c_contiguous
