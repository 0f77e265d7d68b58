import albumentations as A
import numpy as np
import pytest

from s10_pipeline.vision.data.transforms import build_transforms, check_keeps_images, known_transforms
from s10_pipeline.vision.errors import UserError

MEAN = (120.4, 110.0, 99.6)
IMAGE = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)


def test_every_transform_of_the_library_is_known():
    library = {n for n, t in vars(A).items() if isinstance(t, type) and issubclass(t, A.ImageOnlyTransform)}
    assert library - {"ImageOnlyTransform"} <= set(known_transforms()) and len(known_transforms()) > 100
    assert {"Cutout", "PaddedRandomCrop", "OneOf", "HorizontalFlip"} <= set(known_transforms())


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"HorizontalFlp": {}}, r"augment.train=HorizontalFlp: .*did you mean HorizontalFlip\?"),
        ({"Qwertz": {}}, r"augment.train=Qwertz: albumentations has no such transform"),
        ({"HorizontalFlip": {"p": 2}}, r"augment.train.HorizontalFlip: p=2: .*less than or equal to 1"),
        ({"Cutout": {"size": 16, "max_h_size": 8}}, r"augment.train.Cutout.max_h_size: Cutout has no such argument"),
        ({"OneOf": {"transforms": [{"Rotate": {"limt": 2}}]}}, r"augment.train.Rotate.limt: .*did you mean limit\?"),
        ({"HorizontalFlip": {}, "Rotate": {}}, "put a dash before each"),
    ],
)
def test_mistakes_are_named_in_one_line(spec, message):
    with pytest.raises(UserError, match=message) as caught:
        build_transforms([spec], MEAN)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"Normalize": {}}, "Normalize: .*float32"),
        ({"RandomCrop": {"height": 16, "width": 16}}, "RandomCrop: changes uint8 32x32x3 to uint8 16x16x3"),
        ({"RandomCrop": {"height": 64, "width": 64}}, "RandomCrop: fails on an image of 32x32"),
        ({"ToGray": {"num_output_channels": 1}}, "ToGray: .* to uint8 32x32;"),
        ({"RandomScale": {"scale_limit": 0.02}}, "RandomScale: changes"),
        ({"OneOf": {"transforms": [{"HorizontalFlip": {"p": 0.9}}, {"RandomScale": {"p": 0.1}}]}}, "OneOf: changes"),
        (
            {"OneOrOther": {"transforms": [{"HorizontalFlip": {}}, {"Normalize": {"p": 1}}]}},
            "OneOrOther: .* to float32",
        ),
        ({"Sequential": {"transforms": [{"ToFloat": {"p": 0.1}}]}}, "Sequential: .* to float32"),
    ],
)
def test_transforms_must_keep_size_and_type(spec, message):
    with pytest.raises(UserError, match=message):
        check_keeps_images(build_transforms([spec], MEAN), IMAGE)


def test_a_check_leaves_probabilities_alone():
    transforms = build_transforms([{"HorizontalFlip": {"p": 0.25}}], MEAN)
    check_keeps_images(transforms, IMAGE)
    assert transforms.transforms[0].p == 0.25


def test_compositions_and_mean_fill():
    inner = [{"HorizontalFlip": {"p": 1.0}}, {"Cutout": {"size": 32, "fill": "mean", "p": 1.0}}]
    transforms = build_transforms([{"Sequential": {"transforms": inner, "p": 1.0}}], MEAN)
    cutout = transforms.transforms[0].transforms[1]
    assert cutout.fill == (120, 110, 100) and transforms(image=IMAGE)["image"].shape == IMAGE.shape
