from functools import partial

import numpy as np
import pytest

from s10_pipeline.vision.data.planted import plant
from s10_pipeline.vision.explain.gradcam import compute_cams
from s10_pipeline.vision.explain.shortcut_maps import explain_shortcut

PLANTED = {"class_name": "heart", "box_xyxy": [1, 1, 6, 6], "rgb": [255, 222, 0]}


@pytest.fixture
def compute(classifier):
    return partial(compute_cams, classifier, method="gradcam", layer="layer3")


def test_examples_are_the_first_of_their_classes(compute, classifier, data):
    _, examples, cams_nhw = explain_shortcut(compute, classifier, data.test_images, PLANTED, "cpu")
    names, shown = data.test_images.class_names, [example["index"] for example in examples]
    first = {name: int(np.argmax(data.test_images.labels == k)) for k, name in enumerate(names) if name != "heart"}
    assert {example["truth"]: example["index"] for example in examples} == first
    assert shown == sorted(shown)
    by_hand = compute(plant(data.test_images.images_nhwc[shown], PLANTED), np.full(9, names.index("heart")))
    np.testing.assert_allclose(cams_nhw, by_hand, atol=1e-4)


def test_tagged_images_are_classified_on_the_device(classifier, data, monkeypatch):
    moves, classified_after = [], []
    monkeypatch.setattr(classifier, "to", lambda device: moves.append(device) or classifier)
    monkeypatch.setattr(classifier, "cpu", lambda: moves.append("cpu") or classifier)
    original = classifier.probabilities
    monkeypatch.setattr(classifier, "probabilities", lambda x: classified_after.append(list(moves)) or original(x))
    explain_shortcut(lambda x, _: np.ones(x.shape[:3], np.float32), classifier, data.test_images, PLANTED, "cuda:1")
    assert all(before == ["cuda:1"] for before in classified_after)
    assert classified_after
    assert moves == ["cuda:1", "cpu"]
