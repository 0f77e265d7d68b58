import numpy as np
import pytest
import torch
from pytorch_grad_cam.metrics.road import NoisyLinearImputer

from s10_pipeline.vision.explain.imputation import impute


# its code hands tensors to NumPy functions
@pytest.mark.filterwarnings("ignore:__array_wrap__ must accept:DeprecationWarning")
@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_equals_the_grad_cam_package(share: float) -> None:
    rng = np.random.default_rng(0)
    image = rng.uniform(0, 255, (16, 16, 3)).astype(np.float32)
    removed = rng.permutation(256)[: round(share * 256)]
    keep = torch.ones(256)
    keep[removed] = 0
    expected = NoisyLinearImputer(noise=0)(torch.from_numpy(image).permute(2, 0, 1), keep.reshape(16, 16))
    (found,) = impute(image[None], removed, 0.0, rng)
    np.testing.assert_allclose(found, expected.permute(1, 2, 0), atol=2e-3)


def test_an_even_slope_is_restored() -> None:
    slope = np.linspace(0, 250, 20, dtype=np.float32)[None, :, None].repeat(20, 0).repeat(3, 2)
    inner = np.arange(400).reshape(20, 20)[5:15, 5:15].ravel()
    several = np.stack([slope, 250 - slope, slope / 2])
    np.testing.assert_allclose(impute(several, inner, 0.0, np.random.default_rng(0)), several, atol=1e-2)


def test_what_is_left_stays_and_noise_is_added_to_the_rest() -> None:
    rng = np.random.default_rng(0)
    image = np.full((32, 32, 3), 100, np.float32)
    removed = rng.permutation(1024)[:500]
    (result,) = impute(image[None], removed, 2.0, rng)
    changed = (result != image).any(2).ravel()
    assert set(np.flatnonzero(changed)) <= set(removed)
    assert (result.reshape(-1, 3)[removed] - 100).std() == pytest.approx(2, rel=0.1)
    assert (image == 100).all()
