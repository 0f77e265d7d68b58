import pytest

from s10_pipeline.vision.data import loader
from s10_pipeline.vision.explain.params import ExplainParams
from s10_pipeline.vision.explain.shortcut_maps import explain_shortcut

PLANTED = {"class_name": "heart", "box_xyxy": [1, 1, 6, 6], "rgb": [255, 222, 0]}


def test_large_images_pass_few_at_a_time(classifier, data, monkeypatch):
    whole = explain_shortcut(classifier, data.test_images, PLANTED, ExplainParams(), "cpu")
    monkeypatch.setattr(loader, "MAX_PIXELS_A_BATCH", 7 * 32 * 32)
    passed = []
    hook = classifier.register_forward_pre_hook(lambda _, inputs: passed.append(len(inputs[0])))
    few = explain_shortcut(classifier, data.test_images, PLANTED, ExplainParams(), "cpu")
    hook.remove()
    # two maps and a prediction an image
    assert max(passed) == 7
    assert sum(passed) == 3 * whole["num_images"]
    for one, other in zip(whole["examples"], few["examples"], strict=True):
        assert one["prediction"] == other["prediction"]
        assert one["confidence"] == pytest.approx(other["confidence"], abs=1e-6)
    assert few["heat_tagged"] == pytest.approx(whole["heat_tagged"], abs=1e-4)
