import dataclasses

import numpy as np
import pytest

from s10_pipeline.vision.data.examples import draw_training_examples
from s10_pipeline.vision.data.loader import TrainLoader
from s10_pipeline.vision.report import figures as report_figures
from s10_pipeline.vision.report.figures import draw_figures


@pytest.fixture
def preview(shapes, inputs, monkeypatch):
    """Draws the report's preview of the images; the other figures are not looked at here."""
    for name in ("accuracy_curves", "loss_curves", "lr_curve", "confusion_matrix", "reliability", "cam_check"):
        monkeypatch.setattr(report_figures, f"plot_{name}", lambda *_: None)

    def draw(train_set, provenance):
        examples = draw_training_examples(shapes[0], train_set, provenance, num_rows=4)
        given = dataclasses.replace(inputs(), augmented_examples=examples, provenance=provenance)
        return draw_figures(given)["augmentation_preview"]

    return draw


def test_without_a_range_test_there_is_no_figure_of_it(inputs, monkeypatch):
    for name in [name for name in vars(report_figures) if name.startswith("plot_")]:
        monkeypatch.setattr(report_figures, name, lambda *_: None)
    given = inputs()
    assert "lr_curve_plot" in draw_figures(given)
    assert "lr_curve_plot" not in draw_figures(dataclasses.replace(given, lr_curve=given.lr_curve.head(0)))


@pytest.mark.parametrize(("epochs", "num_columns"), [(2, 2), (9, 7)])
def test_what_training_saw_is_what_its_loader_gave(preview, shapes, sets, epochs, num_columns):
    train_set = sets[0]
    provenance = {
        "augment": {"train": train_set.transforms, "pixel_mean": list(train_set.mean), "seed": 3},
        "train": {"seed": 5, "epochs": epochs},
    }
    # the stored set may be of another time
    newer = dataclasses.replace(train_set, transforms=[{"HorizontalFlip": {"p": 1.0}}], mean=(0.0, 0.0, 0.0))
    figure = preview(newer, provenance)
    loader, seen = TrainLoader(shapes[0], train_set, batch_size=64, seed=5), {}
    for epoch in range(1, num_columns + 1):
        batches = zip(loader.epoch(epoch), loader.batches, strict=True)
        seen |= {key: image for (images, _), keys in batches for key, image in zip(keys, images, strict=True)}
    axes = [ax for ax in figure.axes if ax.images]
    rows = np.array(axes, dtype=object).reshape(-1, num_columns + 1)
    assert len(rows) == 4
    assert [ax.get_title() for ax in rows[0, 1:]] == [f"epoch {epoch}" for epoch in range(1, num_columns + 1)]
    for original, *columns in rows:
        same = (shapes[0].images_nhwc == original.images[0].get_array()).all((1, 2, 3))
        (index,) = np.intersect1d(np.flatnonzero(same), train_set.indices)
        for epoch, ax in enumerate(columns, start=1):
            np.testing.assert_array_equal(ax.images[0].get_array(), seen[epoch, index].permute(1, 2, 0).numpy())
