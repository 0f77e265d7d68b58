import contextlib
from contextlib import AbstractContextManager

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from s10_pipeline.vision.data import loader
from s10_pipeline.vision.errors import UserError
from s10_pipeline.vision.explain.cams import is_blank
from s10_pipeline.vision.explain.gradcam import compute_cams
from s10_pipeline.vision.explain.params import METHODS
from s10_pipeline.vision.network.classifier import Classifier

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
TARGETS = np.array([0, 1, 2, 1, 0])


@pytest.fixture
def model(make_model) -> Classifier:
    return make_model().eval()


def cams_by_hand(model: Classifier, layer: str, targets: np.ndarray) -> np.ndarray:
    """Selvaraju et al. 2017, equations 1 and 2, scaled to 0-1 and then enlarged."""
    seen = {}
    hook = model.last_block(layer).register_forward_hook(lambda _, __, output: seen.update(activations=output))
    logits_bk = model(torch.from_numpy(IMAGES).permute(0, 3, 1, 2))
    hook.remove()
    score = logits_bk[torch.arange(len(targets)), torch.from_numpy(targets)].sum()
    (gradients_bchw,) = torch.autograd.grad(score, seen["activations"])
    weights_bc11 = gradients_bchw.mean((2, 3), keepdim=True)
    maps_b1hw = F.relu((weights_bc11 * seen["activations"]).sum(1, keepdim=True)).detach()
    maps_bhw = scaled(maps_b1hw[:, 0].numpy())
    return F.interpolate(torch.from_numpy(maps_bhw)[:, None], IMAGES.shape[1:3], mode="bilinear")[:, 0].numpy()


def scaled(maps_bhw: np.ndarray) -> np.ndarray:
    """Each map from 0 to 1."""
    maps_bhw = maps_bhw - maps_bhw.min((1, 2), keepdims=True)
    return maps_bhw / maps_bhw.max((1, 2), keepdims=True).clip(1e-12)


@pytest.mark.parametrize("layer", ["layer1", "layer2", "layer3"])
@pytest.mark.parametrize("batch_size", [2, 32])
def test_equals_gradcam_by_hand(model: Classifier, layer: str, batch_size: int) -> None:
    by_hand = scaled(cams_by_hand(model, layer, TARGETS))
    cams = compute_cams(model, IMAGES, TARGETS, method="gradcam", layer=layer, batch_size=batch_size)
    assert cams.dtype == np.float32 and (~is_blank(cams)).sum() >= 3
    np.testing.assert_allclose(cams, by_hand, atol=2e-5)


@pytest.mark.parametrize("layers", [("layer2", "layer3"), "layer1+layer2+layer3"])
def test_several_layers_give_the_mean_of_their_maps(model: Classifier, layers: str | tuple[str, ...]) -> None:
    names = layers.split("+") if isinstance(layers, str) else layers
    mean = scaled(np.mean([cams_by_hand(model, name, TARGETS) for name in names], axis=0))
    cams = compute_cams(model, IMAGES, TARGETS, method="gradcam", layer=layers)
    np.testing.assert_allclose(cams, mean, atol=3e-4)


def test_large_images_pass_few_at_a_time(model: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = compute_cams(model, IMAGES, TARGETS, method="gradcam", layer="layer3")
    monkeypatch.setattr(loader, "MAX_PIXELS_A_BATCH", 2 * 32 * 32)
    passed: list[int] = []
    hook = model.register_forward_pre_hook(lambda _, inputs: passed.append(len(inputs[0])))
    few = compute_cams(model, IMAGES, TARGETS, method="gradcam", layer="layer3")
    hook.remove()
    assert passed == [2, 2, 1]
    np.testing.assert_allclose(few, whole, atol=2e-5)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_explains_the_class_that_is_asked_for(model: Classifier, method: str) -> None:
    cams, others = (
        compute_cams(model, IMAGES, targets, method=method, layer="layer2") for targets in (TARGETS, (TARGETS + 1) % 3)
    )
    assert cams.shape == (5, 32, 32) and cams.min() >= 0 and cams.max() <= 1
    assert np.abs(cams - others).max() > 0.1


@pytest.mark.parametrize("method", METHODS)
def test_no_map_is_inverted_whatever_the_sign_of_a_singular_vector(
    model: Classifier, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cams, by_sum = (
        compute_cams(model, IMAGES, TARGETS, method=name, layer="layer3").reshape(5, -1)
        for name in (method, "hirescam")
    )
    assert min(np.corrcoef(pair)[0, 1] for pair in zip(cams, by_sum, strict=True)) > 0
    svd = np.linalg.svd
    monkeypatch.setattr(np.linalg, "svd", lambda *args, **options: (None, None, -svd(*args, **options)[2]))
    again = compute_cams(model, IMAGES, TARGETS, method=method, layer="layer3")
    np.testing.assert_array_equal(again.reshape(5, -1), cams)


@pytest.mark.parametrize("context", [torch.no_grad(), torch.inference_mode(), torch.autocast("cpu", torch.bfloat16)])
def test_does_not_depend_on_the_callers_context(model: Classifier, context: AbstractContextManager[None]) -> None:
    plain = compute_cams(model, IMAGES, TARGETS, method="gradcam", layer="layer3")
    with context:
        inside = compute_cams(model, IMAGES, TARGETS, method="gradcam", layer="layer3")
    np.testing.assert_array_equal(inside, plain)


def snapshot(model: Classifier) -> list[object]:
    """What an explanation could leave changed of a model; equal where nothing is."""
    return [
        *((id(p), id(p.grad), p.requires_grad, p.detach().numpy().tobytes()) for p in model.parameters()),
        # attributes are names, modes and hooks: a layer that is replaced or wrapped has others
        *((id(m), m.training, len(m._forward_hooks), sorted(vars(m))) for m in model.modules()),
    ]


@pytest.mark.parametrize("fails_in_pass", [None, 2])
def test_leaves_the_model_as_it_found_it(model: Classifier, fails_in_pass: int | None) -> None:
    model.train()
    model.network.layer2.eval()
    model.network.head.bias.requires_grad_(False)
    model.network.head.weight.grad = torch.ones_like(model.network.head.weight)
    passes = iter(range(1, 1000))

    def fail(*_: object) -> None:
        if next(passes) == fails_in_pass:
            raise IndexError("inside")

    model.network.head.register_forward_pre_hook(fail)
    before = snapshot(model)
    with pytest.raises(IndexError, match="inside") if fails_in_pass else contextlib.nullcontext():
        compute_cams(model, IMAGES, TARGETS, method="gradcam", layer="layer3", batch_size=2)
    assert snapshot(model) == before
    assert torch.equal(model.network.head.weight.grad, torch.ones_like(model.network.head.weight))


def test_blank_maps_are_zero_and_told(model: Classifier) -> None:
    with torch.no_grad():
        model.network.head.weight[1] = 0  # nothing in the image speaks for class 1
    cams = compute_cams(model, IMAGES, TARGETS, method="gradcam", layer="layer3")
    assert is_blank(cams).tolist() == [False, True, False, True, False]
    assert not cams[[1, 3]].any()


def test_wrong_requests_say_what_is_there(model: Classifier) -> None:
    with pytest.raises(UserError, match=r"^explain.layer=layer4: .* layer1, layer2, layer3, "):
        compute_cams(model, IMAGES, TARGETS, method="gradcam", layer="layer4")
    with pytest.raises(UserError, match=r"^explain.method=gradcam\+: .* did you mean gradcam"):
        compute_cams(model, IMAGES, TARGETS, method="gradcam+", layer="layer3")
    # the package itself would print this one and go on
    with pytest.raises(ValueError, match=r"one class in 0\.\.2 is needed"):
        compute_cams(model, IMAGES, TARGETS + 1, method="gradcam", layer="layer3")
