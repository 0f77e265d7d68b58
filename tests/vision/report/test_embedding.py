"""Pictures as data: addresses."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from s10_pipeline.vision.report.embedding import explanation_uris, picture_uri, thumbnail_uri


def pixels(uri: str) -> np.ndarray:
    kind, _, content = uri.partition(",")
    assert kind == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(content))).convert("RGB"))


def test_pictures_shrink_to_fit_a_budget() -> None:
    rng = np.random.default_rng(0)
    images, cams = rng.integers(0, 256, (30, 64, 64, 3), dtype=np.uint8), rng.random((30, 64, 64), dtype=np.float32)
    for budget in (3_000_000, 300_000):
        uris = explanation_uris(images, cams, cams[::-1], budget)
        assert {len(row) for row in uris} == {4}
        assert budget / 5 < sum(len(uri) for row in uris for uri in row) < budget * 1.05
    assert explanation_uris(images[:0], cams[:0], cams[:0]) == []


@pytest.mark.parametrize(("size", "shown"), [(32, 32), (64, 64), (224, 96)])
def test_thumbnails_keep_small_images_and_scale_large_ones(size: int, shown: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8)
    found = pixels(thumbnail_uri(image))
    assert found.shape == (shown, shown, 3)
    assert (found.shape == image.shape and (found == image).all()) == (size == 32)  # others have a palette


def test_a_palette_has_as_many_colours_as_it_is_given() -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    np.testing.assert_array_equal(pixels(picture_uri(image)), image)
    assert len(np.unique(pixels(picture_uri(image, 16)).reshape(-1, 3), axis=0)) == 16
