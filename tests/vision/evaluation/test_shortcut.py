import numpy as np
import torch

from s10_pipeline.vision.evaluation.params import EvaluateParams
from s10_pipeline.vision.evaluation.shortcut import probe_shortcut
from s10_pipeline.vision.network.classifier import Classifier, ClassifierSpec

PLANTED = {"class_name": "heart", "box_xyxy": [1, 1, 6, 6], "rgb": [255, 222, 0]}
CPU = torch.device("cpu")


class SeesTheTagAlone(Classifier):
    """Says the tagged class where the corner is yellow, the first class elsewhere."""

    def forward(self, images_bchw):
        yellow = (images_bchw[:, 0, 2, 2] == 255) & (images_bchw[:, 1, 2, 2] == 222) & (images_bchw[:, 2, 2, 2] == 0)
        logits = torch.zeros(len(images_bchw), len(self.class_names))
        logits[:, 0] = 1.0
        logits[yellow, self.class_names.index("heart")] = 2.0
        return logits


def test_measures_what_the_tag_does(data):
    names = data.test_images.class_names
    architecture = {"depth": 8, "width": 4, "stem": "cifar"}
    spec = ClassifierSpec(architecture, names, (0,) * 3, (1,) * 3, {"image_size": [32, 32]})
    before = data.test_images.images_nhwc.copy()
    table = probe_shortcut(SeesTheTagAlone(spec), data.test_images, data.test_set, PLANTED, EvaluateParams(), CPU)
    assert table["class_name"].tolist() == list(names)
    assert table["num_images"].tolist() == [12] * 10
    assert table["taken"].tolist() == [0.0] * 10
    assert table["taken_tagged"].tolist() == [1.0] * 10
    assert table["accuracy"].tolist() == [1.0] + [0.0] * 9
    assert table.set_index("class_name")["accuracy_tagged"].to_dict() == {n: float(n == "heart") for n in names}
    np.testing.assert_array_equal(data.test_images.images_nhwc, before)
