import base64
import io
import re

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from s10_pipeline.vision.report.embedding import explanation_uris, figure_svg, thumbnail_uri


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
    assert (found.shape == image.shape and (found == image).all()) == (size == 32)
    assert size == 32 or len(np.unique(found.reshape(-1, 3), axis=0)) == 128


def test_a_figure_is_text_of_which_two_fit_on_one_page() -> None:
    figure = Figure()
    ax = figure.subplots()
    ax.plot([1, 2], color="#0072b2", marker="o")
    ax.plot(np.zeros(5000), ".", rasterized=True)
    ax.set_title("</svg> & #0072b2")
    one, other = figure_svg(figure, "one"), figure_svg(figure, "other")
    assert one == figure_svg(figure, "one") != other
    ids = [re.findall(r'\bid="([^"]*)"', svg) for svg in (one, other)]
    assert ids[0] and not {*ids[0]} & {*ids[1]}
    assert "stroke: var(--figure-0072b2, #0072b2)" in one and "&lt;/svg&gt; &amp; #0072b2</text>" in one
    assert one.count("</svg>") == one.count("<image") == 1 and len(one) < 40_000
    assert "http" not in one and "font-family" not in one and "<style" not in one
