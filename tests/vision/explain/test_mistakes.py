import hashlib

import numpy as np
import pandas as pd

from s10_pipeline.vision.explain.gradcam import compute_cams
from s10_pipeline.vision.explain.mistakes import explain_mistakes
from s10_pipeline.vision.explain.params import ExplainParams
from s10_pipeline.vision.network.classifier import classifier_to_bytes


def test_maps_are_those_of_the_predicted_and_of_the_true_class(classifier, data):
    rows = pd.DataFrame({"index": [7, 3], "prediction": [1, 4], "label": [2, 0]})
    params = ExplainParams(layer="layer2", method="hirescam")
    cams = explain_mistakes(classifier, data.test_images, rows, None, params, "cpu")
    pixels = data.test_images.images_nhwc[[7, 3]]
    for maps, classes in ((cams.predicted_nhw, [1, 4]), (cams.true_nhw, [2, 0])):
        by_hand = compute_cams(classifier, pixels, np.array(classes), method="hirescam", layer="layer2")
        np.testing.assert_array_equal(maps, by_hand)
    assert cams.indices.tolist() == [7, 3]
    assert cams.params == params.model_dump(mode="json")
    assert cams.model == f"sha256:{hashlib.sha256(classifier_to_bytes(classifier)).hexdigest()}"
    assert cams.shortcut is None
