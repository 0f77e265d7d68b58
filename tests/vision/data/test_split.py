import tracemalloc

import numpy as np
import pytest

from s10_pipeline.vision.data import split
from s10_pipeline.vision.data.params import AugmentParams
from s10_pipeline.vision.data.split import build_sets, channel_mean_std


def test_sets_are_disjoint_and_share_their_normalisation(shapes):
    params = AugmentParams.model_validate({"train": ["HorizontalFlip"], "val_fraction": 0.25})
    train, val, test = build_sets(*shapes, params)
    assert len(train) == 300 and len(val) == 100
    assert len(test) == 120 and not set(train.indices) & set(val.indices)
    assert train.transforms == [{"HorizontalFlip": {}}] and val.transforms == test.transforms == []
    pixels = shapes[0].images_nhwc[train.indices].reshape(-1, 3).astype(float)
    assert train.mean == val.mean == test.mean == pytest.approx(tuple(pixels.mean(0)), abs=1e-3)
    assert train.std == pytest.approx(tuple(pixels.std(0)), abs=1e-3)


def test_normalisation_may_be_given(shapes):
    half = (127.5,) * 3
    train, *_ = build_sets(*shapes, AugmentParams(pixel_mean=half, pixel_std=half))
    assert train.mean == train.std == half


def test_a_channel_of_one_value_does_not_divide_by_zero():
    images = np.full((4, 8, 8, 3), 7, np.uint8)
    mean, std = channel_mean_std(images, np.arange(4))
    assert mean == (7, 7, 7) and std == (1, 1, 1)


def test_mean_and_deviation_are_exact_over_many_chunks_in_little_memory(monkeypatch):
    monkeypatch.setattr(split, "CHUNK_BYTES", 1000)  # less than two images
    images = np.random.default_rng(0).integers(0, 256, (370, 16, 16, 3), np.uint8)
    chosen = np.arange(1, 370, 2)
    tracemalloc.start()
    mean, std = channel_mean_std(images, chosen)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < images[chosen].nbytes
    pixels = images[chosen].reshape(-1, 3).astype(float)
    assert mean == tuple(round(v, 4) for v in pixels.mean(0).tolist())
    assert std == tuple(round(v, 4) for v in pixels.std(0).tolist())
