import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb

from s10_pipeline.vision.lr_search.plot import COLORS, plot_lr_curve
from s10_pipeline.vision.lr_search.rate import METHODS

LR, LOSS = np.geomspace(1e-4, 1, 60), np.abs(np.linspace(-1.5, 1, 60)) + 1
CURVE = pd.concat(
    [pd.DataFrame({"lr": LR, "loss": LOSS + run, "raw_loss": LOSS + run + 0.1, "run": run}) for run in (0, 1)]
)
BEST = {"candidates": {"auto": 0.1, "minimum": 0.03}, "method": "auto", "band": [0.05, 0.2], "read_to": None}


@pytest.mark.parametrize("taken", METHODS)
def test_every_suggestion_is_a_line_where_it_lies_and_the_one_taken_is_solid_with_its_band(taken):
    ax = plot_lr_curve(CURVE, {**BEST, "method": taken}, "title").axes[0]
    lines = [line for line in ax.lines if len(set(line.get_xdata())) == 1]
    for line, (name, lr) in zip(lines, BEST["candidates"].items(), strict=True):
        assert line.get_xdata()[0] == lr and line.get_label().startswith(METHODS[name])
        assert line.get_color() == COLORS[name]
        assert (line.get_linestyle() == "-") == (name == taken) == ("taken" in line.get_label())
    (band,) = ax.patches
    assert (band.get_x(), band.get_x() + band.get_width()) == pytest.approx((0.05, 0.2))


def test_raw_losses_are_dots_and_what_diverged_is_grey():
    ax = plot_lr_curve(CURVE, {**BEST, "read_to": float(LR[40])}, "title").axes[0]
    parts = [line for line in ax.lines if len(set(line.get_xdata())) > 1]
    before, behind = parts[:3], parts[3:]
    for (dots, *lines), x in ((before, LR[:40]), (behind, LR[40:])):
        assert list(dots.get_xdata()) == [*x, *x] and (dots.get_marker(), dots.get_linestyle()) == (".", "None")
        for run, line in enumerate(lines):
            assert list(line.get_xdata()) == list(x)
            assert list(dots.get_ydata()[run * len(x) :][: len(x)] - line.get_ydata()) == pytest.approx([0.1] * len(x))
    assert all(len(set(to_rgb(part.get_color()))) == 1 for part in behind)
    grey, _ = ax.patches
    assert (grey.get_x(), grey.get_x() + grey.get_width()) == pytest.approx((LR[40], LR[-1]))


def test_a_test_that_diverged_has_no_suggestions_and_says_so():
    ax = plot_lr_curve(CURVE.head(5), {"candidates": {}, "method": "train.lr"}, "a $ in a title").axes[0]
    assert ax.get_title().startswith(r"a \$ in a title: ") and "diverged" in ax.get_title()


def test_without_a_test_there_are_no_axes_to_look_at():
    ax = plot_lr_curve(CURVE.head(0), {**BEST, "lr": 0.05, "unread": "a reason"}, "title").axes[0]
    assert not ax.axison and not ax.lines
    assert "0.05" in ax.texts[0].get_text() and "a reason" in ax.texts[0].get_text()
