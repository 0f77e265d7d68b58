import pytest

from s10_pipeline.vision.explain.cam_check_plot import plot_cam_check


def test_each_curve_begins_at_nothing_removed():
    drop = {"maps": [0.2, 0.5], "random_maps": [0.1, 0.3]}
    ax = plot_cam_check({"percentages": [10, 40], "drop": drop}, "title").axes[0]
    curves = [(line.get_xdata(), line.get_ydata()) for line in ax.lines]
    assert [y.tolist() for _, y in curves] == [[0, 0.2, 0.5], [0, 0.1, 0.3]]
    assert all(x.tolist() == pytest.approx([0, 0.1, 0.4]) for x, _ in curves)
    assert len(ax.get_legend().get_texts()) == 2


def test_too_few_maps_are_told_instead():
    ax = plot_cam_check({"percentages": [10, 40], "drop": {}}, "title").axes[0]
    assert not ax.lines
    assert "too few" in ax.texts[0].get_text()
