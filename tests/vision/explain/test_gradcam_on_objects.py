"""Grad-CAM of a trained network on drawn images, of which it is known where the object is."""

import numpy as np
import pytest

from s10_pipeline.vision.data.augmented import build_sets
from s10_pipeline.vision.data.params import AugmentParams, IngestParams
from s10_pipeline.vision.data.sources.shapes10 import draw, read
from s10_pipeline.vision.evaluation.metrics import predict_probabilities
from s10_pipeline.vision.explain.gradcam import compute_cams
from s10_pipeline.vision.network.params import ArchitectureParams
from s10_pipeline.vision.training.checkpoints import CheckpointStore
from s10_pipeline.vision.training.data import TrainingData
from s10_pipeline.vision.training.engine import train_classifier
from s10_pipeline.vision.training.params import PlateauParams, TrainParams

NUM_TEST = 300


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A network that knows most shapes, and the test images with their objects' boxes."""
    import torch

    torch.set_num_threads(2)
    drawn = {"num_train_images": 4000, "num_test_images": NUM_TEST}
    images = read(IngestParams.model_validate({"source": "shapes10", "shapes10": drawn}))
    augment = AugmentParams.model_validate({"train": [{"PaddedRandomCrop": {"padding": 2}}, "HorizontalFlip"]})
    params = TrainParams(
        epochs=12,
        batch_size=64,
        nesterov=True,
        device="cpu",
        warmup_epochs=2,
        plateau=PlateauParams(patience=1, factor=0.2, threshold=0.05),
        architecture=ArchitectureParams(depth=8, width=16),
    )
    data = TrainingData(*images, *build_sets(*images, augment))
    result = train_classifier(data, 0.2, params, CheckpointStore(tmp_path_factory.mktemp("checkpoints")))
    torch.set_num_threads(1)
    drawing = draw(NUM_TEST, 32, 0, split="test")
    assert (drawing.images_nhwc == images[1].images_nhwc).all()
    probabilities = predict_probabilities(result.model, images[1], data.test_set, 100, torch.device("cpu"))
    right = probabilities.argmax(1) == images[1].labels
    assert right.mean() > 0.6, "the network learned too little to be asked where it looks"
    return result.model, drawing, right


def box_masks(boxes_xyxy: np.ndarray, size: int) -> np.ndarray:
    masks = np.zeros((len(boxes_xyxy), size, size), bool)
    for mask, (left, top, right, bottom) in zip(masks, boxes_xyxy, strict=True):
        mask[top:bottom, left:right] = True
    return masks


@pytest.mark.slow
@pytest.mark.parametrize("method", ["gradcam", "hirescam"])
def test_the_heat_is_on_the_object(trained, method):
    model, drawing, right = trained
    cams = compute_cams(model, drawing.images_nhwc[right], drawing.labels[right], method=method, layer="layer3")
    masks = box_masks(drawing.boxes_xyxy[right], 32)
    heat = cams / cams.sum((1, 2), keepdims=True).clip(1e-9)
    inside = (heat * masks).sum((1, 2)).mean()
    chance = masks.mean()
    # the same maps laid over other images: what a map that ignores its image would reach
    control = (np.roll(heat, 7, axis=0) * masks).sum((1, 2)).mean()
    assert inside > chance + 0.1
    assert inside > control + 0.05
    hottest = cams.reshape(len(cams), -1).argmax(1)
    pointing = masks.reshape(len(masks), -1)[np.arange(len(masks)), hottest].mean()
    assert pointing > 0.7
