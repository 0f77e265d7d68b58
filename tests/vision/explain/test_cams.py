import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from s10_pipeline.vision.explain.cams import Cams, cams_to_bytes, describe_cams, is_blank, load_cams


def make_cams(n: int, shortcut: bool) -> Cams:
    rng = np.random.default_rng(n)
    return Cams(
        indices=np.arange(n)[::-1].copy(),
        predicted_nhw=rng.random((n, 8, 8), dtype=np.float32),
        true_nhw=rng.random((n, 8, 8), dtype=np.float32),
        params={"method": "gradcam", "layer": ["layer2", "layer3"], "seed": 0},
        model="sha256:abc",
        shortcut={"heat_plain": 0.1 + 0.2, "heat_tagged": None} if shortcut else None,
        shortcut_nhw=rng.random((3 * shortcut, 8, 8), dtype=np.float32),
    )


@pytest.mark.parametrize(("n", "shortcut"), [(25, False), (2, True), (0, False)])
def test_come_back_as_they_were_from_equal_bytes(tmp_path: Path, n: int, shortcut: bool) -> None:
    cams = make_cams(n, shortcut)
    (tmp_path / "cams").write_bytes(cams_to_bytes(cams))
    loaded = load_cams(tmp_path / "cams")
    for field in dataclasses.fields(Cams):
        value, again = getattr(cams, field.name), getattr(loaded, field.name)
        assert np.array_equal(value, again) and getattr(value, "dtype", None) == getattr(again, "dtype", None)
    assert cams_to_bytes(loaded) == cams_to_bytes(make_cams(n, shortcut)) == cams_to_bytes(cams)


def test_what_a_person_reads_of_them_has_no_arrays() -> None:
    told = json.loads(json.dumps(describe_cams(make_cams(2, True))))
    assert set(told) == {"params", "model", "shortcut"}


def test_blank_maps_are_told() -> None:
    cams_nhw = make_cams(3, False).predicted_nhw.copy()
    cams_nhw[1] = 0.5
    assert is_blank(cams_nhw).tolist() == [False, True, False]
