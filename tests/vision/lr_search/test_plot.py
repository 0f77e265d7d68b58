import numpy as np
import pandas as pd
import pytest

from s10_pipeline.vision.lr_search.plot import LABELS, plot_lr_curve
from s10_pipeline.vision.lr_search.suggestions import READINGS, suggest_learning_rates

CURVE = pd.DataFrame({"lr": np.geomspace(1e-4, 1, 60), "loss": np.abs(np.linspace(-1.5, 1, 60)) + 1})


@pytest.mark.parametrize("taken", READINGS)
def test_every_reading_is_a_line_where_it_lies_and_the_one_taken_is_solid(taken):
    candidates = suggest_learning_rates(CURVE, 1e-4)
    ax = plot_lr_curve(CURVE, {"candidates": candidates, "method": taken}, "title").axes[0]
    _, *lines = ax.lines
    for line, (name, lr) in zip(lines, candidates.items(), strict=True):
        assert line.get_xdata()[0] == lr
        assert line.get_label().startswith(LABELS[name])
        assert line.get_color() == READINGS[name].color
        assert (line.get_linestyle() == "-") == (name == taken) == ("taken" in line.get_label())


@pytest.mark.parametrize("num_points", [0, 5])
def test_a_test_that_diverged_has_no_readings_and_says_so(num_points):
    ax = plot_lr_curve(CURVE.head(num_points), {"candidates": {}, "method": "train.lr"}, "a $ in a title").axes[0]
    assert len(ax.lines) == 1
    assert ax.get_title().startswith(r"a \$ in a title: ")
    assert "diverged" in ax.get_title()
