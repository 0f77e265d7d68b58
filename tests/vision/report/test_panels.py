import numpy as np
import pytest
from matplotlib.figure import Figure

from s10_pipeline.vision.report import panels
from s10_pipeline.vision.report.panels import CaptionLine, Panel, draw_panels


def draw(num_panels: int, line: CaptionLine) -> Figure:
    image, cam = np.zeros((32, 32, 3), np.uint8), np.full((32, 32), 0.5, np.float32)
    return draw_panels(
        [Panel(image, cam[None], (line,))] * num_panels, title="title", subtitle="about", empty_message="none"
    )


def words(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts if text.get_text()]


def test_more_than_can_be_drawn_are_cut_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(panels, "MAX_PANELS", 6)
    figure = draw(11, CaptionLine("cat"))
    assert words(figure).count("cat") == 6 and any("first 6 of 11" in word for word in words(figure))


@pytest.mark.parametrize("keep_end", [True, False])
def test_of_a_long_line_the_name_alone_is_cut_at_one_end(keep_end: bool) -> None:
    name = "a" * 50 + "middle" + "z" * 50
    prefix, suffix, shown = words(draw(1, CaptionLine(name, "path", "12.5%", keep_end=keep_end)))[-3:]
    assert (prefix, suffix) == ("path", "12.5%") and len(shown) < len(name)
    assert shown == ("…" + name[1 - len(shown) :] if keep_end else name[: len(shown) - 1] + "…")
