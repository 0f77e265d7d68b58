"""Outlines of the shapes in the pictures of ``shapes10``, as polygons and as lookup tables of signed distances.

Pixels must be the same bytes on every system. So sine and cosine, which come from the platform's mathematical library,
are rounded to 14 bits. Everything else is elementwise +, -, *, / and square root, which IEEE 754 defines exactly. No
library function sums floats, because the order of summation differs between libraries.
"""

from functools import lru_cache, reduce
from operator import add

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]

# Angles are whole numbers of steps, 240 steps per full turn. 240 is divisible by 3, 5, 6, 10 and 12, so the corners of
# triangle, pentagon, hexagon and both stars lie exactly on steps.
NUM_ANGLES = 240
_TURN = np.arange(NUM_ANGLES) * (2 * np.pi / NUM_ANGLES)
COS = np.rint(np.cos(_TURN) * 2**14) / 2**14
SIN = np.rint(np.sin(_TURN) * 2**14) / 2**14

# Number of points per side of the square table that holds the signed distances to a shape's outline.
TABLE_SIZE = 129
# A table of signed distances covers x and y from -TABLE_EXTENT to TABLE_EXTENT; the outline in it has radius 1.
TABLE_EXTENT = 1.28


def _arc(start: int, stop: int, x: float = 0.0, y: float = 0.0, rx: float = 1.0, ry: float = 1.0) -> Points:
    """Return points of an elliptical arc, one per step from angle ``start`` to ``stop`` (steps of 1.5 degrees)."""
    steps = np.arange(start, stop + 1) if stop >= start else np.arange(start, stop - 1, -1)
    return np.stack([x + rx * COS[steps % NUM_ANGLES], y + ry * SIN[steps % NUM_ANGLES]], axis=1)


def _regular(num_corners: int) -> Points:
    """Return a regular polygon with one corner at the top."""
    return _arc(180, 180 + NUM_ANGLES - 1)[:: NUM_ANGLES // num_corners]


def _star(num_tips: int, inner_radius: float) -> Points:
    points = _regular(2 * num_tips).copy()
    points[1::2] *= inner_radius
    return points


def _heart() -> Points:
    """Return the curve x = 16 sin^3 t, y = 13 cos t - 5 cos 2t - 2 cos 3t - cos 4t, a heart with its tip at the bottom.

    The sign of y is changed, because y points down in images.
    """
    t = np.arange(0, NUM_ANGLES, 4)
    y = 13 * COS[t] - 5 * COS[2 * t % NUM_ANGLES] - 2 * COS[3 * t % NUM_ANGLES] - COS[4 * t % NUM_ANGLES]
    return np.stack([16 * SIN[t] * SIN[t] * SIN[t], -y - 2.5], axis=1)


def _cross(half_width: float) -> Points:
    x, y = np.array([(1.0, -half_width), (1.0, half_width), (half_width, half_width)]).T
    arms = [np.stack(corners, axis=1) for corners in ((x, y), (-y, x), (-x, -y), (y, -x))]
    return np.concatenate(arms)


def _of_radius_one(points: Points) -> Points:
    x, y = points.T
    scaled: Points = points / np.sqrt((x * x + y * y).max())
    return scaled


_SHAPES = {
    "circle": _arc(0, NUM_ANGLES - 1)[::2],
    "triangle": _regular(3),
    "square": np.array([(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)]),
    "pentagon": _regular(5),
    "hexagon": _regular(6),
    "star5": _star(5, 0.5),
    "star6": _star(6, 0.55),
    "cross": _cross(0.36),
    "heart": _heart(),
    # draw the crescent from tip to tip along its outer arc, and back along an inner ellipse
    "crescent": np.concatenate([_arc(40, 200)[::2], _arc(180, 60, x=0.5, rx=0.75, ry=0.866)[1:-1:2]]),
}
# Small distractors around and across the object; none resembles one of the ten shapes.
_CLUTTER = {
    "bar": np.array([(-1.0, -0.06), (1.0, -0.06), (1.0, 0.06), (-1.0, 0.06)]),
    "half_disc": _arc(0, 120)[::3],
    "arc": np.concatenate([_arc(0, 90)[::3], _arc(90, 0, rx=0.68, ry=0.68)[::3]]),
    "chevron": np.array([(0.8, -0.6), (0.0, 0.35), (-0.8, -0.6), (-0.8, -0.1), (0.0, 0.85), (0.8, -0.1)]),
    "wedge": np.array([(1.0, 0.0), (-0.9, 0.3), (-0.9, -0.3)]),
    "bean": _arc(0, NUM_ANGLES - 1, rx=1.0, ry=0.5)[::6],
}
SHAPE_NAMES, CLUTTER_NAMES = tuple(_SHAPES), tuple(_CLUTTER)
OUTLINES = {name: _of_radius_one(points) for name, points in {**_SHAPES, **_CLUTTER}.items()}
"""Name -> polygon's corners (V, 2) as x, y; the farthest is at distance 1 from the origin. y points down."""


def area(name: str) -> float:
    """Return the area of a shape by the shoelace formula; as its outline has radius 1, the area is at most pi."""
    x, y = OUTLINES[name].T
    terms: list[float] = (x * np.roll(y, -1) - np.roll(x, -1) * y).tolist()
    # reduce instead of sum(), because sum() rounds floats differently from Python 3.12 on
    return abs(reduce(add, terms)) / 2


@lru_cache
def distance_tables() -> NDArray[np.float32]:
    """Return lookup tables from which shapes are drawn: signed distances from a grid of points to each outline.

    The tables are float32 (number of outlines, TABLE_SIZE, TABLE_SIZE); rows are y, columns x. Distances are to the
    nearest edge, negative inside (by the even-odd rule). Entries at the border are very large, so that coordinates
    outside the table, which are clamped to it, count as far outside.
    """
    steps = np.arange(TABLE_SIZE) * (2 * TABLE_EXTENT / (TABLE_SIZE - 1)) - TABLE_EXTENT
    px, py = steps[None, :], steps[:, None]
    tables = []
    for corners in OUTLINES.values():
        nearest = np.full((TABLE_SIZE, TABLE_SIZE), np.inf)
        inside = np.zeros((TABLE_SIZE, TABLE_SIZE), bool)
        for (ax, ay), (bx, by) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
            ex, ey = bx - ax, by - ay
            along = (((px - ax) * ex + (py - ay) * ey) / (ex * ex + ey * ey)).clip(0, 1)
            dx, dy = px - ax - along * ex, py - ay - along * ey
            nearest = np.minimum(nearest, dx * dx + dy * dy)
            if ay != by:
                inside ^= ((py >= ay) != (py >= by)) & (px < ax + (py - ay) / (by - ay) * ex)
        distance = np.where(inside, -np.sqrt(nearest), np.sqrt(nearest))
        distance[[0, -1], :] = distance[:, [0, -1]] = 1e3
        tables.append(distance)
    return np.stack(tables).astype(np.float32)
