import dataclasses

import numpy as np
import pytest

from s10_pipeline.vision.data.image_set import content_digest
from s10_pipeline.vision.data.params import AugmentParams
from s10_pipeline.vision.data.split import build_sets, indices_digest
from s10_pipeline.vision.errors import UserError
from s10_pipeline.vision.evaluation.checks import check_provenance, check_same_data


def test_a_model_knows_its_classes_and_its_size(classifier, data):
    images = data.test_images
    check_same_data(classifier, images)
    with pytest.raises(UserError, match=r"^model: .*10 classes .* 10 \(a, b, c, "):
        check_same_data(classifier, dataclasses.replace(images, class_names=tuple("abcdefghij")))
    with pytest.raises(UserError, match="^model: .*32x32.*48x64"):
        check_same_data(classifier, dataclasses.replace(images, images_nhwc=np.zeros((120, 48, 64, 3), np.uint8)))


@pytest.mark.parametrize("split", ["train", "test"])
def test_images_are_known_by_their_content(data, split):
    images = getattr(data, f"{split}_images")
    provenance = {"data": {split: {"title": "what it read", "digest": content_digest(images)}}}
    check_provenance(provenance, **{split: images})
    # equal content from elsewhere is the same
    check_provenance(provenance, **{split: dataclasses.replace(images, source={}, digest=None)})
    others = dataclasses.replace(images, images_nhwc=images.images_nhwc[::-1].copy(), digest=None)
    message = rf"^{split}_images: .*what it read before.*--load-versions={split}_images:VERSION"
    with pytest.raises(UserError, match=message):
        check_provenance(provenance, **{split: others})
    with pytest.raises(UserError, match=f"^{split}_images: "):
        check_provenance({}, **{split: images})


def test_a_split_is_known_by_its_indices(data):
    trained = {"val_fraction": 0.1, "seed": 0, "split_digests": {"val": indices_digest(data.val_set)}}
    check_provenance({"augment": trained}, data.val_set)
    _, other, _ = build_sets(data.train_images, data.test_images, AugmentParams(seed=1))
    message = r"^val_set: .*augment.seed=0 then.*augment.seed=1 now.*--load-versions=val_set:"
    with pytest.raises(UserError, match=message):
        check_provenance({"augment": trained}, other)
    with pytest.raises(UserError, match=r"^val_set: .*by source then"):
        check_provenance({}, other)
