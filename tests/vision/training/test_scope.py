import dataclasses

import numpy as np

from s10_pipeline.vision.training.scope import training_scope


def test_what_decides_the_result_decides_the_scope(data, tiny):
    scope = training_scope(data, 0.1, tiny, "fp32")
    assert scope == training_scope(data, 0.1, tiny, "fp32")
    same = {"epochs": 9, "device": "auto", "num_workers": 2, "keep_checkpoints": 7, "lr": 0.1}
    assert scope == training_scope(data, 0.1, tiny.model_copy(update=same), "fp32")
    assert scope != training_scope(data, 0.2, tiny, "fp32")
    assert scope != training_scope(data, 0.1, tiny, "bf16")
    for change in ({"seed": 1}, {"momentum": 0.8}, {"batch_size": 32}):
        assert scope != training_scope(data, 0.1, tiny.model_copy(update=change), "fp32"), change


def test_data_decides_the_scope(data, tiny):
    scope = training_scope(data, 0.1, tiny, "fp32")
    pixels = data.train_images.images_nhwc.copy()
    pixels[0, 0, 0, 0] ^= 1
    other_pixels = dataclasses.replace(data.train_images, images_nhwc=pixels, digest=None)
    fewer = dataclasses.replace(data.train_set, indices=data.train_set.indices[:-1])
    plain = dataclasses.replace(data.train_set, transforms=[])
    for change in ({"train_images": other_pixels}, {"train_set": fewer}, {"train_set": plain}):
        assert scope != training_scope(dataclasses.replace(data, **change), 0.1, tiny, "fp32")
    equal = dataclasses.replace(data.train_images, images_nhwc=np.array(data.train_images.images_nhwc), digest=None)
    assert scope == training_scope(dataclasses.replace(data, train_images=equal), 0.1, tiny, "fp32")
