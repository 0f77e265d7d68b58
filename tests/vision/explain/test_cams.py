import numpy as np

from s10_pipeline.vision.explain.cams import is_blank


def test_blank_maps_are_told() -> None:
    cams_nhw = np.random.default_rng(0).random((3, 8, 8), dtype=np.float32)
    cams_nhw[1] = 0.5
    assert is_blank(cams_nhw).tolist() == [False, True, False]
