import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb

from s10_pipeline.vision.lr_search.plot import LABELS, plot_lr_curve
from s10_pipeline.vision.lr_search.suggestions import READINGS, suggest_learning_rates

LR, LOSS = np.geomspace(1e-4, 1, 60), np.abs(np.linspace(-1.5, 1, 60)) + 1
CURVE = pd.DataFrame({"lr": LR, "loss": LOSS, "raw_loss": LOSS + 0.1, "run": 0})


@pytest.mark.parametrize("taken", READINGS)
def test_every_reading_is_a_line_where_it_lies_and_the_one_taken_is_solid(taken):
    candidates = suggest_learning_rates(CURVE, 1e-4)
    ax = plot_lr_curve(CURVE, {"candidates": candidates, "method": taken}, "title").axes[0]
    lines = [line for line in ax.lines if len(set(line.get_xdata())) == 1]
    for line, (name, lr) in zip(lines, candidates.items(), strict=True):
        assert line.get_xdata()[0] == lr
        assert line.get_label().startswith(LABELS[name])
        assert line.get_color() == READINGS[name].color
        assert (line.get_linestyle() == "-") == (name == taken) == ("taken" in line.get_label())


def test_raw_losses_are_dots_and_what_diverged_is_grey():
    best_lr = {"candidates": suggest_learning_rates(CURVE[:40], 1e-4), "method": "valley", "read_to": float(LR[40])}
    ax = plot_lr_curve(CURVE, best_lr, "title").axes[0]
    parts = [line for line in ax.lines if len(set(line.get_xdata())) > 1]
    before, behind = parts[:2], parts[2:]
    for points, x in ((before, LR[:40]), (behind, LR[40:])):
        dots, line = points
        assert list(dots.get_xdata()) == list(line.get_xdata()) == list(x)
        assert (dots.get_marker(), dots.get_linestyle(), line.get_marker()) == (".", "None", "None")
        assert list(dots.get_ydata() - line.get_ydata()) == pytest.approx([0.1] * len(x))
    assert all(len(set(to_rgb(part.get_color()))) == 1 for part in behind)
    (span,) = ax.patches
    assert (span.get_x(), span.get_x() + span.get_width()) == pytest.approx((LR[40], LR[-1]))


def test_a_test_that_diverged_has_no_readings_and_says_so():
    ax = plot_lr_curve(CURVE.head(5), {"candidates": {}, "method": "train.lr"}, "a $ in a title").axes[0]
    assert ax.get_title().startswith(r"a \$ in a title: ")
    assert "diverged" in ax.get_title()


def test_without_a_test_there_are_no_axes_to_look_at():
    ax = plot_lr_curve(CURVE.head(0), {"lr": 0.05, "candidates": {}, "method": "train.lr"}, "title").axes[0]
    assert not ax.axison and not ax.lines
    assert "train.lr=0.05 was given" in ax.texts[0].get_text()
