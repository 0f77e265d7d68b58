import io

import pytest
from matplotlib.figure import Figure

from s10_pipeline.vision.figure_text import drawable, literal


@pytest.mark.parametrize(
    ("text", "drawn"),
    [
        ("dog", "dog"),
        ("  two\n lines\t", "two lines"),
        ("$x^2$", r"\$x^2\$"),
        ("ünï", "ünï"),
        ("木", "\N{REPLACEMENT CHARACTER}"),
    ],
)
def test_known_answers(text, drawn):
    assert literal(text) == drawn


def test_a_long_text_is_shortened_before_its_dollars_are_marked():
    assert literal("abcdef", max_length=6) == "abcdef"
    assert literal("abcdefg", max_length=6) == "abcde…"
    assert literal("$bcdefg", max_length=6) == r"\$bcde…"
    assert drawable("$") == "$"


def test_matplotlib_draws_it_without_a_warning():
    figure = Figure()
    figure.suptitle(literal("$\\broken{$ 木"))
    figure.savefig(io.BytesIO())
