import dataclasses
import json

import numpy as np
import pytest
from kedro.io.core import Version

from s10_pipeline.datasets.cams import CamsDataset
from s10_pipeline.vision.explain.cams import Cams


def make_cams(n: int, shortcut: bool) -> Cams:
    rng = np.random.default_rng(n)
    return Cams(
        indices=np.arange(n)[::-1],
        predicted_nhw=rng.random((n, 8, 8), dtype=np.float32),
        true_nhw=rng.random((n, 8, 8), dtype=np.float32)[::-1],
        params={"method": "gradcam", "layer": ["layer2", "layer3"], "seed": 0},
        model="sha256:abc",
        shortcut={"heat_plain": 0.1 + 0.2, "heat_tagged": None} if shortcut else None,
        shortcut_examples=[{"index": 3, "confidence": 1 / 3}] * shortcut,
        shortcut_nhw=rng.random((1 * shortcut, 8, 8), dtype=np.float32),
    )


@pytest.mark.parametrize("place", ["{tmp}/cams.safetensors", "memory://bucket/cams.safetensors"])
@pytest.mark.parametrize(("n", "shortcut"), [(25, False), (2, True), (0, False)])
def test_maps_come_back_as_they_were_from_equal_bytes(tmp_path, place, n, shortcut):
    cams = make_cams(n, shortcut)
    dataset = CamsDataset(filepath=place.format(tmp=tmp_path), version=Version(None, None))
    dataset.save(cams)
    loaded = dataset.load()
    for field in dataclasses.fields(Cams):
        value, again = getattr(cams, field.name), getattr(loaded, field.name)
        assert np.array_equal(value, again)
        assert getattr(value, "dtype", None) == getattr(again, "dtype", None)
    assert dataset.encode(loaded) == dataset.encode(make_cams(n, shortcut))
    told = json.loads(dataset.preview())
    assert told["num_images"] == n
    assert told["params"] == cams.params
