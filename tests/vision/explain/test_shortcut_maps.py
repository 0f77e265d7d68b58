from functools import partial

import numpy as np
import pytest

from s10_pipeline.vision.data import loader
from s10_pipeline.vision.data.planted import plant
from s10_pipeline.vision.explain.gradcam import compute_cams
from s10_pipeline.vision.explain.shortcut_maps import explain_shortcut

PLANTED = {"class_name": "heart", "box_xyxy": [1, 1, 6, 6], "rgb": [255, 222, 0]}


@pytest.fixture
def compute(classifier):
    return partial(compute_cams, classifier, method="gradcam", layer="layer3")


def test_large_images_pass_few_at_a_time(compute, classifier, data, monkeypatch):
    whole, examples, cams_nhw = explain_shortcut(compute, classifier, data.test_images, PLANTED)
    monkeypatch.setattr(loader, "MAX_PIXELS_A_BATCH", 7 * 32 * 32)
    passed = []
    hook = classifier.register_forward_pre_hook(lambda _, inputs: passed.append(len(inputs[0])))
    few, few_examples, few_cams_nhw = explain_shortcut(compute, classifier, data.test_images, PLANTED)
    hook.remove()
    # two maps and a prediction an image
    assert max(passed) == 7
    assert sum(passed) == 3 * whole["num_images"]
    for one, other in zip(examples, few_examples, strict=True):
        assert one["prediction"] == other["prediction"]
        assert one["confidence"] == pytest.approx(other["confidence"], abs=1e-6)
    assert few["heat_tagged"] == pytest.approx(whole["heat_tagged"], abs=1e-4)
    np.testing.assert_allclose(few_cams_nhw, cams_nhw, atol=1e-4)


def test_examples_are_the_first_of_their_classes(compute, classifier, data):
    _, examples, cams_nhw = explain_shortcut(compute, classifier, data.test_images, PLANTED)
    names, shown = data.test_images.class_names, [example["index"] for example in examples]
    first = {name: int(np.argmax(data.test_images.labels == k)) for k, name in enumerate(names) if name != "heart"}
    assert {example["truth"]: example["index"] for example in examples} == first
    assert shown == sorted(shown)
    by_hand = compute(plant(data.test_images.images_nhwc[shown], PLANTED), np.full(9, names.index("heart")))
    np.testing.assert_allclose(cams_nhw, by_hand, atol=1e-4)
