import numpy as np
import pytest

from s10_pipeline.vision.data.sources import outlines
from s10_pipeline.vision.data.sources.outlines import SHAPE_NAMES


def test_rounded_cosines_do_not_hang_on_the_last_bit_of_a_library() -> None:
    turn = np.arange(outlines.NUM_ANGLES) * (2 * np.pi / outlines.NUM_ANGLES)
    for exact in (np.cos(turn), np.sin(turn)):
        to_tie = np.abs(np.abs(exact * 2**14 % 1) - 0.5)
        assert to_tie.min() > 1e-6


@pytest.mark.parametrize(("name", "area"), [("circle", np.pi), ("square", 2), ("triangle", 1.299), ("hexagon", 2.598)])
def test_outlines_have_known_areas(name: str, area: float) -> None:
    assert outlines.area(name) == pytest.approx(area, rel=2e-3)


def test_distance_tables_are_signed_distances() -> None:
    steps = np.linspace(-outlines.TABLE_EXTENT, outlines.TABLE_EXTENT, outlines.TABLE_SIZE)
    expected = np.hypot(steps[None, :], steps[:, None]) - 1
    table = outlines.distance_tables()[SHAPE_NAMES.index("circle")]
    np.testing.assert_allclose(table[1:-1, 1:-1], expected[1:-1, 1:-1], atol=1e-3)
