import dataclasses

import numpy as np
import pytest

from s10_pipeline.pipelines.data.nodes import build_augmented_datasets, ingest_cifar
from s10_pipeline.vision.data.params import AugmentParams, IngestParams


@pytest.mark.parametrize(("kept", "warned"), [(8, False), (7, True)])
def test_unequal_classes_are_warned_of(caplog, kept, warned):
    drawn = {"num_train_images": 400, "num_test_images": 20}
    ingest_cifar(
        IngestParams.model_validate({"source": "shapes10", "plant": f"starve:heart:{kept}", "shapes10": drawn})
    )
    assert [r.levelname for r in caplog.records if r.levelname != "INFO"] == ["WARNING"] * warned


def test_build_augmented_datasets_splits_and_shows(shapes):
    params = AugmentParams.model_validate({"train": [{"Cutout": {"size": 8}}], "val_fraction": 0.2})
    train_set, val_set, test_set, preview = build_augmented_datasets(*shapes, params)
    assert (train_set.name, val_set.name, test_set.name) == ("train", "val", "test")
    labels = shapes[0].labels
    assert np.bincount(labels[val_set.indices]).tolist() == [8] * 10
    assert np.bincount(labels[train_set.indices]).tolist() == [32] * 10
    assert len(test_set) == len(shapes[1]) and len(preview.axes) > 8


def test_images_that_the_source_names_are_the_validation_set_and_no_others(shapes):
    named = np.arange(len(shapes[0])) % 7 == 0
    images = dataclasses.replace(shapes[0], validation=named, digest=None)
    train_set, val_set, *_ = build_augmented_datasets(images, shapes[1], AugmentParams())
    assert (val_set.indices.tolist(), train_set.indices.tolist()) == tuple(
        np.flatnonzero(x).tolist() for x in (named, ~named)
    )
    assert val_set.parameters == {"validation": "named by the source"}
