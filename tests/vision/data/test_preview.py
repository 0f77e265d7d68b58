from s10_pipeline.vision.data.examples import NUM_DRAWS, draw_examples
from s10_pipeline.vision.data.preview import plot_augmentation_preview


def test_a_row_per_image_and_a_column_per_draw(shapes, sets):
    figure = plot_augmentation_preview(draw_examples(shapes[0], sets[0], 3, seed=0))
    axes = [ax for ax in figure.axes if ax.images]
    assert len(axes) == 3 * (NUM_DRAWS + 1)
    assert all(ax.get_ylabel() in shapes[0].class_names for ax in axes[:: NUM_DRAWS + 1])
