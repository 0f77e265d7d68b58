import dataclasses

import numpy as np
import pytest

from s10_pipeline.vision.data.examples import NUM_DRAWS, draw_examples, draw_training_examples
from s10_pipeline.vision.data.loader import TrainLoader
from s10_pipeline.vision.data.preview import plot_augmentation_preview


def test_originals_stand_beside_what_augmentation_makes_of_them(shapes, sets):
    figure = plot_augmentation_preview(draw_examples(shapes[0], sets[0], 5, seed=0))
    axes = [ax for ax in figure.axes if ax.images]
    assert len(axes) == 5 * (NUM_DRAWS + 1)
    originals = [ax.images[0].get_array() for ax in axes[:: NUM_DRAWS + 1]]
    stored = shapes[0].images_nhwc[sets[0].indices]
    assert all((stored == original).all((1, 2, 3)).any() for original in originals)
    assert any((axes[i].images[0].get_array() != originals[0]).any() for i in range(1, NUM_DRAWS + 1))
    # of no training yet, whose seed and epochs would be others
    assert [ax.get_title() for ax in axes[1 : NUM_DRAWS + 1]] == [f"example {i}" for i in range(1, NUM_DRAWS + 1)]
    names = [ax.get_ylabel() for ax in axes[:: NUM_DRAWS + 1]]
    assert set(names) <= set(shapes[0].class_names) and len(set(names)) > 1
    assert "Cutout" in figure.get_suptitle() and np.isfinite(figure.get_size_inches()).all()


@pytest.mark.parametrize(("epochs", "num_columns"), [(2, 2), (9, 7)])
def test_what_training_saw_is_what_its_loader_gave(shapes, sets, epochs, num_columns):
    train_set = sets[0]
    provenance = {
        "augment": {"train": train_set.transforms, "pixel_mean": list(train_set.mean), "seed": 3},
        "train": {"seed": 5, "epochs": epochs},
    }
    # the stored set may be of another time
    newer = dataclasses.replace(train_set, transforms=[{"HorizontalFlip": {"p": 1.0}}], mean=(0.0, 0.0, 0.0))
    examples = draw_training_examples(shapes[0], newer, provenance, num_rows=4)
    loader, seen = TrainLoader(shapes[0], train_set, batch_size=64, seed=5), {}
    for epoch in range(1, num_columns + 1):
        batches = zip(loader.epoch(epoch), loader.batches, strict=True)
        seen |= {key: image for (images, _), keys in batches for key, image in zip(keys, images, strict=True)}
    assert examples.source["columns"] == ["original", *(f"epoch {epoch}" for epoch in range(1, num_columns + 1))]
    rows = examples.images_nhwc.reshape(4, num_columns + 1, *examples.images_nhwc.shape[1:])
    for original, *columns in rows:
        (index,) = np.intersect1d(np.flatnonzero((shapes[0].images_nhwc == original).all((1, 2, 3))), train_set.indices)
        for epoch, image in enumerate(columns, start=1):
            np.testing.assert_array_equal(image, seen[epoch, index].permute(1, 2, 0).numpy())
