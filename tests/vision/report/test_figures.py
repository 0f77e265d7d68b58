import dataclasses
import re
from importlib import resources

import numpy as np
from matplotlib.colors import to_rgb

from s10_pipeline.vision.report.embedding import figure_svg
from s10_pipeline.vision.report.figures import draw_figures


def test_without_a_range_test_there_is_no_figure_of_it(inputs):
    given = inputs()
    assert "lr_curve_plot" in draw_figures(given)
    assert "lr_curve_plot" not in draw_figures(dataclasses.replace(given, lr_curve=given.lr_curve.head(0)))


def contrast(one, other):
    """WCAG 2.2: 1 to 21."""

    def luminance(color):
        rgb = np.array(to_rgb(color))
        return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4) @ (0.2126, 0.7152, 0.0722)

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_what_is_seen_on_white_is_seen_in_the_dark(inputs):
    style = resources.files("s10_pipeline.vision.report").joinpath("report.css").read_text(encoding="utf-8")
    light, dark = (dict(re.findall(r"--([\w-]+): ([^;]+);", part)) for part in style.split("* {")[0].split("@media"))
    lost = set()
    for name, figure in draw_figures(inputs()).items():
        for color in set(re.findall(r"--figure-([0-9a-f]{6})", figure_svg(figure, name))) - {"ffffff", "fafafa"}:
            shown = dark.get(f"figure-{color}", f"#{color}")
            shown = dark[shown[6:-1]] if shown.startswith("var") else shown
            if contrast(shown, dark["card"]) < 0.9 * min(3, contrast(f"#{color}", light["card"])):
                lost.add(color)
    assert lost == set()
