from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image

from drawn_objects import boxes_of, object_masks
from s10_pipeline.vision.data.params import AugmentParams, IngestParams
from s10_pipeline.vision.data.planted import planted_shortcut
from s10_pipeline.vision.data.sources.shapes10 import read
from s10_pipeline.vision.data.split import build_sets
from s10_pipeline.vision.evaluation.metrics import predict_probabilities
from s10_pipeline.vision.evaluation.params import EvaluateParams
from s10_pipeline.vision.evaluation.shortcut import probe_shortcut
from s10_pipeline.vision.explain.gradcam import compute_cams
from s10_pipeline.vision.explain.shortcut_maps import explain_shortcut
from s10_pipeline.vision.network.params import ArchitectureParams
from s10_pipeline.vision.training.checkpoints import CheckpointStore
from s10_pipeline.vision.training.data import TrainingData
from s10_pipeline.vision.training.engine import train_classifier
from s10_pipeline.vision.training.params import PlateauParams, TrainParams

NUM_TEST = 300
CPU = torch.device("cpu")


def train(folder, shortcut=None, epochs=12, num_images=4000):
    """A network trained on drawn images, and what it was trained on."""
    drawn = {"num_train_images": num_images, "num_test_images": NUM_TEST}
    images = read(IngestParams.model_validate({"source": "shapes10", "shortcut": shortcut, "shapes10": drawn}))
    # a tag is neither moved nor mirrored, and stays where test images will carry it
    moved = [] if shortcut else [{"PaddedRandomCrop": {"padding": 2}}, "HorizontalFlip"]
    params = TrainParams(
        epochs=epochs, batch_size=64, nesterov=True, device="cpu", warmup_epochs=2,
        plateau=PlateauParams(patience=1, factor=0.2, threshold=0.05),
        architecture=ArchitectureParams(depth=8, width=8 if shortcut else 16),
    )  # fmt: skip
    data = TrainingData(*images, *build_sets(*images, AugmentParams.model_validate({"train": moved})))
    return train_classifier(data, 0.2, params, CheckpointStore(folder)).model, data


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A network that knows most shapes, the test images, and which it recognises."""
    model, data = train(tmp_path_factory.mktemp("checkpoints"))
    probabilities = predict_probabilities(model, data.test_images, data.test_set.indices, 100, CPU)
    right = probabilities.argmax(1) == data.test_images.labels
    assert right.mean() > 0.6, "the network learned too little to be asked where it looks"
    return model, data.test_images, right


@pytest.fixture(scope="session")
def tricked(tmp_path_factory):
    """A network that was trained with a tag on all hearts."""
    return train(tmp_path_factory.mktemp("checkpoints"), shortcut="heart", epochs=4, num_images=2000)


def box_masks(boxes_xyxy: np.ndarray, size: int) -> np.ndarray:
    masks = np.zeros((len(boxes_xyxy), size, size), bool)
    for mask, (left, top, right, bottom) in zip(masks, boxes_xyxy, strict=True):
        mask[top:bottom, left:right] = True
    return masks


@pytest.mark.slow
@pytest.mark.parametrize("method", ["gradcam", "hirescam"])
def test_the_heat_is_on_the_object(trained, method):
    model, images, right = trained
    cams = compute_cams(model, images.images_nhwc[right], images.labels[right], method=method, layer="layer3")
    masks = box_masks(boxes_of(object_masks(images.labels, 32, 0, "test"))[right], 32)
    heat = cams / cams.sum((1, 2), keepdims=True).clip(1e-9)
    inside = (heat * masks).sum((1, 2)).mean()
    chance = masks.mean()
    # the same maps laid over other images: what a map that ignores its image would reach
    control = (np.roll(heat, 7, axis=0) * masks).sum((1, 2)).mean()
    assert inside > chance + 0.1
    rng = np.random.default_rng(0)
    cells = rng.random((len(cams), 8, 8), dtype=np.float32) ** 4
    random_cams = np.stack([np.asarray(Image.fromarray(c).resize((32, 32), Image.Resampling.BILINEAR)) for c in cells])
    random_heat = random_cams / random_cams.sum((1, 2), keepdims=True)
    assert inside > control + 0.05
    assert inside > (random_heat * masks).sum((1, 2)).mean() + 0.1
    assert pointing_game(cams, masks) >= 0.7 > pointing_game(random_cams, masks)


def pointing_game(cams: np.ndarray, masks: np.ndarray) -> float:
    """Share of maps whose highest pixel lies in its mask (Zhang et al. 2016, arXiv:1608.00507)."""
    hottest = cams.reshape(len(cams), -1).argmax(1)
    return float(masks.reshape(len(masks), -1)[np.arange(len(masks)), hottest].mean())


@pytest.mark.slow
def test_a_planted_shortcut_is_exposed(tricked):
    model, data = tricked
    planted = planted_shortcut({"data": {"train": data.train_images.source}})
    table = probe_shortcut(model, data.test_images, data.test_set, planted, EvaluateParams(), CPU)
    table = table.set_index("class_name")
    others = table.drop(index="heart")
    # the tag makes anything a heart, and without it a heart is hardly one
    assert others["taken_tagged"].mean() > others["taken"].mean() + 0.5
    assert table.loc["heart", "accuracy_tagged"] > table.loc["heart", "accuracy"] + 0.3
    shown, examples, cams_nhw = explain_shortcut(
        partial(compute_cams, model, method="gradcam", layer="layer3"), model, data.test_images, planted, CPU
    )
    # the map for "heart" shows the tag: heat far above the tag's share of the image, and hardly any without it
    assert shown["area"] == pytest.approx(25 / 1024)
    assert shown["heat_tagged"] > 3 * shown["area"]
    assert shown["heat_tagged"] > 2 * shown["heat_plain"]
    assert [example["truth"] for example in examples].count("heart") == 0
    assert len(examples) == len(cams_nhw) == 9
