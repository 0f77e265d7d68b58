import numpy as np

from s10_pipeline.vision.data.examples import NUM_DRAWS, draw_examples
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
    assert set(names) <= set(shapes[0].class_names)
    assert len(set(names)) > 1
    assert "Cutout" in figure.get_suptitle()
    assert np.isfinite(figure.get_size_inches()).all()
