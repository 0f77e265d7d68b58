"""Where the objects of drawn images lie."""

import numpy as np

from s10_pipeline.vision.data.sources.drawing import WORDS_PER_IMAGE, paint_scenes


def object_masks(labels: np.ndarray, image_size: int, seed: int, split: str) -> np.ndarray:
    """Bool (N, S, S): which pixels of the images that ``draw`` makes show the object at least by half."""
    stream = np.array([seed, ["train", "test"].index(split)], np.uint64)
    words = np.random.Philox(key=stream).random_raw((len(labels), WORDS_PER_IMAGE))
    return paint_scenes(words, labels, image_size)[1]


def boxes_of(masks: np.ndarray) -> np.ndarray:
    """int64 (N, 4): left, top, right, bottom of what is true, the last two exclusive."""
    size = masks.shape[1]
    columns, rows = masks.any(axis=1), masks.any(axis=2)
    sides = [columns.argmax(1), rows.argmax(1), size - columns[:, ::-1].argmax(1), size - rows[:, ::-1].argmax(1)]
    return np.stack(sides, axis=1)
