import io

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from s10_pipeline.vision.report.gallery import plot_gradcam_gallery
from s10_pipeline.vision.report.overlay import enlarge


def gallery(num_images: int, names: tuple[str, str] = ("cat", "dog"), size: int = 32) -> Figure:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (num_images, size, size, 3), dtype=np.uint8)
    rows = pd.DataFrame({"index": np.arange(num_images) * 7, "label": 0, "prediction": 1, "confidence": 0.875})
    rows["label_name"], rows["prediction_name"] = names
    rows[f"p_{names[0]}"], rows[f"p_{names[1]}"] = 0.125, 0.875
    cams, true_cams = rng.random((2, num_images, size, size), dtype=np.float32)
    return plot_gradcam_gallery(images, rows, cams, true_cams, title="mistakes")


def words(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts if text.get_text()]


def pixels(figure: Figure) -> np.ndarray:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return np.asarray(Image.open(buffer).convert("RGB"))


@pytest.mark.parametrize("num_images", [0, 1, 7, 25, pytest.param(60, marks=pytest.mark.slow)])
def test_each_image_is_there_with_its_caption(num_images: int) -> None:
    shown = words(gallery(num_images))
    assert any("no mistake" in word for word in shown) == (num_images == 0)
    assert {f"test image {index * 7}" for index in range(num_images)} <= set(shown)
    assert [shown.count(word) for word in ("dog", "87.5%", "cat", "12.5%")] == [num_images] * 4


@pytest.mark.parametrize("num_images", [1, 7, pytest.param(25, marks=pytest.mark.slow)])
def test_nothing_overlaps_or_leaves_the_figure(num_images: int) -> None:
    figure = gallery(num_images, names=("a class with a rather long name " * 3, "W" * 80))
    boxes = [text.get_window_extent() for text in figure.axes[0].texts if text.get_text()]
    bare = gallery(num_images)
    bare.delaxes(bare.axes[0])  # the texts
    pictures = pixels(bare)[::-1]  # rows from below, as boxes have them
    for i, box in enumerate(boxes):
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1
        assert (pictures[round(box.y0) : round(box.y1), round(box.x0) : round(box.x1)] == 255).all()
        for other in boxes[:i]:
            assert not (box.x0 < other.x1 and other.x0 < box.x1 and box.y0 < other.y1 and other.y0 < box.y1)
    assert sum(word.endswith("…") for word in words(figure)) >= 2 * num_images


def test_25_images_are_some_1800_pixels_wide_and_drawn_pixel_by_pixel() -> None:
    drawn = pixels(gallery(25))
    assert 1500 <= drawn.shape[1] <= 2000
    first = enlarge(np.random.default_rng(0).integers(0, 256, (25, 32, 32, 3), dtype=np.uint8)[0], 128)
    windows = np.lib.stride_tricks.sliding_window_view(drawn, first.shape)[:, :, 0]
    corners = np.argwhere((drawn[: len(windows), : windows.shape[1]] == first[0, 0]).all(2))
    assert any((windows[row, column] == first).all() for row, column in corners)


def test_names_are_drawn_as_they_are() -> None:
    figure = gallery(1, names=("$x^2$ & <b>", "木\n\\frac"))
    pixels(figure)  # no warning on a missing glyph, no attempt at mathematics
    # by an installed font, or escaped where none has the character
    assert "$x^2$ & <b>" in words(figure) and {"木 \\frac", "\\u6728 \\frac"} & set(words(figure))


def test_blank_maps_are_not_drawn_as_if_they_said_something() -> None:
    row = {"index": 3, "path": "a/b.png", "label_name": "a", "prediction_name": "b", "confidence": 0.9, "p_a": 0.1}
    image, blank = np.zeros((1, 32, 32, 3), np.uint8), np.zeros((1, 32, 32), np.float32)
    cam = blank.copy()
    cam[:, :4] = 1
    for cams, true_cams, num_blank in ((blank, cam, 2), (cam, blank, 2), (blank, blank, 3), (cam, cam, 0)):
        figure = plot_gradcam_gallery(image, pd.DataFrame([row]), cams, true_cams, title="")
        assert words(figure).count("blank map") == num_blank and "test image 3, a/b.png" in words(figure)
