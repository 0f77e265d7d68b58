"""What is painted is where it is said to be."""

import numpy as np

from s10_pipeline.vision.data.sources.drawing import WORDS_PER_IMAGE, paint_scenes
from s10_pipeline.vision.data.sources.shapes10 import draw


def test_boxes_are_tight_and_inside() -> None:
    n, size, seed = 40, 48, 3
    drawing = draw(n, size, seed, split="train")
    words = np.random.Philox(key=[seed, 0]).random_raw(n * WORDS_PER_IMAGE).reshape(n, -1)
    images_nhwc, visible = paint_scenes(words, drawing.labels, size)
    np.testing.assert_array_equal(images_nhwc, drawing.images_nhwc)
    for box, num_pixels, mask in zip(drawing.boxes_xyxy, drawing.object_pixels, visible, strict=True):
        ys, xs = np.nonzero(mask)
        assert box.tolist() == [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
        assert box.min() >= 0 and box.max() <= size
        assert num_pixels == len(xs)
