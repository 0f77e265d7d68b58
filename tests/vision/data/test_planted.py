import numpy as np

from s10_pipeline.vision.data.params import IngestParams
from s10_pipeline.vision.data.planted import plant, planted_shortcut
from s10_pipeline.vision.data.sources import read_source

PLANTED = {"class_name": "heart", "box_xyxy": [1, 1, 6, 6], "rgb": [255, 222, 0]}


def test_the_source_says_what_it_planted():
    drawn = {"num_train_images": 40, "num_test_images": 20}
    params = IngestParams.model_validate({"source": "shapes10", "shortcut": "heart", "shapes10": drawn})
    train, test = read_source(params)
    assert planted_shortcut({"data": {"train": train.source, "test": test.source}}) == PLANTED
    assert "planted" not in test.source
    hearts = train.labels == train.class_names.index("heart")
    # what it did to training images is what this does to test images
    np.testing.assert_array_equal(plant(train.images_nhwc[hearts], PLANTED), train.images_nhwc[hearts])
    assert (plant(train.images_nhwc[~hearts], PLANTED) != train.images_nhwc[~hearts]).any((1, 2, 3)).all()
