import io
import logging

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager

from s10_pipeline.vision import figure_text
from s10_pipeline.vision.figure_text import drawable, literal


@pytest.fixture(autouse=True)
def only_fonts_of_matplotlib(monkeypatch):
    """Whatever else this machine has installed."""
    bundled = [font for font in fontManager.ttflist if "mpl-data" in font.fname]
    monkeypatch.setattr(fontManager, "ttflist", bundled)
    monkeypatch.setattr(figure_text, "_warned", [])
    figure_text._can_draw.cache_clear()
    with matplotlib.rc_context():
        yield
    figure_text._can_draw.cache_clear()


@pytest.mark.parametrize(
    ("text", "drawn"),
    [
        ("dog", "dog"),
        ("  two\n lines\t", "two lines"),
        ("$x^2$", r"\$x^2\$"),
        ("ünï", "ünï"),
        ("木", r"\u6728"),
        ("猫 cat", r"\u732b cat"),
        ("हिन्दी", r"\u0939\u093f\u0928\u094d\u0926\u0940"),
        ("😾", "😾"),  # the default font has it
        ("🦴", r"\U0001f9b4"),
        ("\x07", r"\x07"),
    ],
)
def test_known_answers(text, drawn):
    assert literal(text) == drawn


def test_a_long_text_is_shortened_before_its_dollars_are_marked():
    assert literal("abcdef", max_length=6) == "abcdef"
    assert literal("abcdefg", max_length=6) == "abcde…"
    assert literal("$bcdefg", max_length=6) == r"\$bcde…"
    assert drawable("$") == "$"


def draw(text):
    text = literal(text)
    figure = Figure()
    ax = figure.subplots()
    ax.set_title(text)
    stream = io.BytesIO()
    figure.savefig(stream, format="raw")
    return np.frombuffer(stream.getvalue(), np.uint8)


@pytest.mark.parametrize("char", ["\u1d81", "\u20dd", "\u0359", "\u02ef"])
def test_another_font_stands_in(char, caplog):
    # STIX and DejaVu Serif have them
    assert literal(f"a{char}") == f"a{char}"
    assert not np.array_equal(draw(f"a{char}"), draw("a"))
    assert not caplog.messages
    assert np.array_equal(draw("plain"), draw("plain"))


def test_one_warning_for_all_that_no_font_has(caplog):
    with caplog.at_level(logging.WARNING):
        for text in ("木", "猫", "हिन्दी", "木"):
            draw(text)
    assert len(caplog.messages) == 1
    assert "no installed font has 木" in caplog.text
