from dataclasses import replace

import numpy as np
import pytest
import torch

from s10_pipeline.vision.data.image_set import ImageSet
from s10_pipeline.vision.data.split import Split
from s10_pipeline.vision.network.classifier import classifier_to_bytes, load_classifier
from s10_pipeline.vision.network.whitening import FLOOR, PatchWhitening
from s10_pipeline.vision.training import model as model_module
from s10_pipeline.vision.training.model import build_classifier
from s10_pipeline.vision.training.optimizer import build_optimizer
from s10_pipeline.vision.training.params import TrainParams

WHITENED = TrainParams.model_validate({"architecture": {"depth": 8, "width": 4, "stem": "whitened"}})


def patches_of(y_bchw: torch.Tensor) -> np.ndarray:
    """Its outputs as rows; at the border, padding makes others."""
    return y_bchw[:, :, 1:-1, 1:-1].permute(0, 2, 3, 1).reshape(-1, y_bchw.shape[1]).double().numpy()


def test_what_comes_out_is_uncorrelated_and_of_equal_variance():
    rough = torch.randn(60, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    smooth = torch.nn.functional.avg_pool2d(rough, 3, 1) * 3 + rough[:, [0], 2:, 2:]  # correlated in space and colour
    layer = PatchWhitening()
    layer.fit(smooth)
    covariance = np.cov(patches_of(layer(smooth)).T)
    windows = np.lib.stride_tricks.sliding_window_view(smooth.double().numpy(), (3, 3), axis=(2, 3))
    variances = np.linalg.eigvalsh(np.cov(windows.transpose(1, 4, 5, 0, 2, 3).reshape(27, -1)))[::-1]
    # a direction of variance v is scaled to v / (v + FLOOR): nearly 1 where it is more than noise
    np.testing.assert_allclose(covariance, np.diag(variances / (variances + FLOOR)), atol=1e-3)


def test_a_direction_without_variance_is_not_blown_up():
    layer = PatchWhitening()
    layer.fit(torch.full((2, 3, 8, 8), 0.5))
    assert layer.weight.abs().max() <= FLOOR**-0.5


def test_filters_have_a_sign_and_an_order_of_their_own(monkeypatch):
    images = torch.randn(30, 3, 16, 16, generator=torch.Generator().manual_seed(1)).cumsum(2)
    layer, mirrored = PatchWhitening(), PatchWhitening()
    layer.fit(images)
    eigh = torch.linalg.eigh

    def of_another_library(matrix):
        values, vectors = eigh(matrix)
        return values, vectors * torch.tensor([1.0, -1.0, -1.0] * 9, dtype=vectors.dtype)

    monkeypatch.setattr(torch.linalg, "eigh", of_another_library)
    mirrored.fit(images)
    assert torch.equal(layer.weight, mirrored.weight)
    flat = layer.weight.flatten(1)
    assert (flat.gather(1, flat.abs().argmax(1, keepdim=True)) > 0).all()
    norms = flat.norm(dim=1)
    assert (norms.diff() >= -1e-5).all(), "large variance first, so small weights first"


def test_no_step_changes_it_and_the_model_file_keeps_it(shapes, sets, tmp_path):
    model = build_classifier(shapes[0], sets[0], WHITENED)
    layer = model.network.stem[0]
    before = layer.weight.clone()
    assert before.abs().sum() > 0
    batch = torch.from_numpy(shapes[0].images_nhwc[:8].copy()).permute(0, 3, 1, 2)
    optimizer = build_optimizer(model, WHITENED, lr=0.1)
    model(batch).sum().backward()
    optimizer.step()
    assert torch.equal(layer.weight, before)
    path = tmp_path / "model.safetensors"
    path.write_bytes(classifier_to_bytes(model))
    model.eval()
    torch.testing.assert_close(load_classifier(path)(batch), model(batch))


def test_it_is_fitted_to_training_images_alone_and_the_same_for_each_seed(shapes, sets):
    first = build_classifier(shapes[0], sets[0], WHITENED)
    second = build_classifier(shapes[0], sets[0], WHITENED.model_copy(update={"seed": 5}))
    assert torch.equal(first.network.stem[0].weight, second.network.stem[0].weight)
    assert not torch.equal(first.network.stem[1].weight, second.network.stem[1].weight)
    some = torch.from_numpy(shapes[0].images_nhwc[sets[0].indices].copy()).permute(0, 3, 1, 2)
    expected = PatchWhitening()
    expected.fit(first.normalise(some))
    torch.testing.assert_close(first.network.stem[0].weight, expected.weight)


def test_it_is_fitted_to_images_of_all_classes_where_they_come_sorted(shapes, sets, monkeypatch):
    images, train_set = shapes[0], sets[0]
    rows = train_set.indices[np.argsort(images.labels[train_set.indices], kind="stable")]
    taken = []
    monkeypatch.setattr(model_module, "NUM_WHITENED", 50)
    monkeypatch.setattr(PatchWhitening, "fit", lambda self, x_bchw: taken.append(x_bchw))
    model = build_classifier(images, replace(train_set, indices=rows), WHITENED)
    whole = model.normalise(torch.from_numpy(images.images_nhwc[rows]).permute(0, 3, 1, 2))
    labels = [int(images.labels[rows][(whole == x).all(dim=(1, 2, 3))][0]) for x in taken[0]]
    assert len(labels) == 50 and set(labels) == set(range(10))


@pytest.mark.parametrize(("side", "num_images"), [(32, 40), (64, 10), (128, 2), (512, 1)])
def test_of_large_images_fewer_are_taken(side, num_images, monkeypatch):
    images_nhwc = np.zeros((40, side, side, 3), np.uint8)
    taken = []
    monkeypatch.setattr(model_module, "NUM_WHITENED_PIXELS", 40 * 32**2)
    monkeypatch.setattr(PatchWhitening, "fit", lambda self, x_bchw: taken.append(len(x_bchw)))
    images = ImageSet(images_nhwc, np.zeros(40, np.int64), ("a", "b"))
    train_set = Split("train", np.arange(40), [], (0.0,) * 3, (1.0,) * 3)
    build_classifier(images, train_set, WHITENED)
    assert taken == [num_images]
