"""Draw the pictures of ``shapes10`` from random numbers: the same scene at any image size.

All computation is elementwise float32 (see :mod:`.outlines` for the reason). Lengths are fractions of the image's side,
grey values and colours are 0-255. In array shapes, B is the number of images and S the side in pixels.

The constants from LIGHTER_FRACTION on decide how hard the task is, LIGHTER_FRACTION most of all. Test accuracy of a
ResNet-8 of width 16 (4,000 pictures, 11 epochs, batch size 64, learning rate 0.1): about 40 % with 1/2, 82-90 % with
7/8, 98 % with 1; and 99 % with 8/9 and 16,000 pictures.
"""

import numpy as np
from numpy.typing import NDArray

from .outlines import (
    CLUTTER_NAMES,
    COS,
    NUM_ANGLES,
    SHAPE_NAMES,
    SIN,
    TABLE_EXTENT,
    TABLE_SIZE,
    area,
    distance_tables,
)

Floats = NDArray[np.float32]
Ints = NDArray[np.intp]

# Number of random 64-bit integers from which one picture is drawn.
WORDS_PER_IMAGE = 576
# Smallest and largest area of the object, relative to the area of the picture.
OBJECT_AREA = (0.19, 0.38)
# Largest radius of the object, relative to the picture's side. The object is then entirely in the picture; a part of
# its shadow may be cut off.
MAX_RADIUS = 0.475
# Smallest and largest width of a twig that crosses the object, relative to the square root of the object's area. The
# largest width is so small that a twig hides at most a sixth of the object.
TWIG_WIDTH = (0.06, 0.11)

# Share of pictures whose object is lighter than the background; in the others, the object is darker.
LIGHTER_FRACTION = 7 / 8
# Smallest and largest difference between the grey values (0-255) of the object and of the background.
CONTRAST = (36.0, 110.0)
# Number of small distractor shapes that are drawn behind the object of each picture.
NUM_CLUTTER = 9
# Number of distractor shapes that have nearly the object's colour.
NUM_CAMOUFLAGED = 2
# Share of pictures in which a twig (a thin bar) crosses the object.
TWIG_FRACTION = 0.9

_COS, _SIN = COS.astype(np.float32), SIN.astype(np.float32)
_BAR = len(SHAPE_NAMES) + CLUTTER_NAMES.index("bar")
# Width of the outline of a bar, which draws twigs, relative to the bar's radius (half its length).
_BAR_WIDTH = 0.12


class Dice:
    """Random numbers for drawing B images, derived from one row of random 64-bit integers per image.

    Each call takes equally many integers from every row.
    """

    def __init__(self, words: NDArray[np.uint64]) -> None:
        self._words, self._used = words, 0

    def uniform(self, low: float | Floats, high: float | Floats, *shape: int) -> Floats:
        """Return uniform random numbers in [low, high), float32 (B, *shape)."""
        stop = self._used + int(np.prod(shape, dtype=np.intp))
        assert stop <= self._words.shape[1], "raise WORDS_PER_IMAGE"
        words, self._used = self._words[:, self._used : stop], stop
        unit = ((words >> np.uint64(40)).astype(np.float32) * np.float32(2**-24)).reshape(-1, *shape)
        start = np.asarray(low, np.float32)
        return start + unit * (np.asarray(high, np.float32) - start)

    def choice(self, n: int) -> Ints:
        """Return one random integer from 0 to n - 1 per image, shape (B,)."""
        return self.uniform(0, n).astype(np.intp)

    def angle(self) -> Ints:
        return self.choice(NUM_ANGLES)


def colour(grey: Floats, hue: Ints, chroma: Floats) -> Floats:
    """Return RGB colours (B, 3) from their grey value, hue angle and chroma (strength of the colour, 0 for grey).

    ``grey`` is the mean of the three channels, and ``hue`` an angle in steps of NUM_ANGLES. A channel differs from
    ``grey`` by at most ``chroma``. Values are clipped to 0-255.
    """
    wheel = np.stack([_COS[(hue + k * NUM_ANGLES // 3) % NUM_ANGLES] for k in range(3)], axis=1)
    rgb: Floats = (grey[:, None] + chroma[:, None] * wheel).clip(0, 255)
    return rgb


def smooth_noise(lattice: Floats, size: int) -> Floats:
    """Return a smooth random texture (B, S, S), interpolated from random values (B, n, n) on a coarse grid."""
    n = lattice.shape[1]
    at = (np.arange(size, dtype=np.float32) + 0.5) * np.float32((n - 1) / size)
    i = at.astype(np.intp)
    f = at - i
    f = f * f * (3 - 2 * f)
    rows = lattice[:, i] + (lattice[:, i + 1] - lattice[:, i]) * f[:, None]
    noise: Floats = rows[:, :, i] + (rows[:, :, i + 1] - rows[:, :, i]) * f
    return noise


def coverage(distance: Floats) -> Floats:
    """Return the share (0-1) of each pixel's area that is inside a shape, so that drawn shapes have smooth edges.

    ``distance`` is the pixel's signed distance to the shape's outline in pixels, negative inside.
    """
    return (0.5 - distance).clip(0, 1)


class Canvas:
    """A batch of B square RGB pictures that are being drawn, as the float32 array ``planes_bchw`` (B, 3, S, S)."""

    def __init__(self, num_images: int, size: int) -> None:
        self.size = size
        self.planes_bchw = np.zeros((num_images, 3, size, size), np.float32)
        self._centres = (np.arange(size, dtype=np.float32) + 0.5) / np.float32(size)

    def ramp(self, angle: Ints) -> Floats:
        """Return a linear gradient (B, S, S) for each picture: 0 at the centre, increasing in direction ``angle``.

        The value is the distance from the centre in that direction, at most 0.71 (half a diagonal) at the corners.
        """
        cos, sin = _COS[angle][:, None, None], _SIN[angle][:, None, None]
        at = self._centres - 0.5
        ramp: Floats = at * cos + at[:, None] * sin
        return ramp

    def distance(self, kind: Ints, x: Floats, y: Floats, radius: Floats, angle: Ints) -> Floats:
        """Return each pixel's signed distance, in pixels (B, S, S), to one outline per picture; negative inside.

        Args:
            kind: number of the outline's distance table (:func:`.outlines.distance_tables`).
            x, y: position of the outline's centre.
            radius: size of the outline.
            angle: rotation in steps of NUM_ANGLES.
        """
        per_unit = np.float32((TABLE_SIZE - 1) / (2 * TABLE_EXTENT))
        cos = (_COS[angle] / radius * per_unit)[:, None, None]
        sin = (_SIN[angle] / radius * per_unit)[:, None, None]
        dx = (self._centres - x[:, None])[:, None, :]
        dy = (self._centres - y[:, None])[:, :, None]
        middle, last = (TABLE_SIZE - 1) / 2, TABLE_SIZE - 1.001
        gx = (cos * dx + (sin * dy + middle)).clip(0, last)
        gy = (cos * dy + middle - sin * dx).clip(0, last)
        ix, iy = gx.astype(np.int32), gy.astype(np.int32)
        fx, fy = gx - ix.astype(np.float32), gy - iy.astype(np.float32)
        table = distance_tables().ravel()
        at = iy * np.int32(TABLE_SIZE) + ix + (kind * TABLE_SIZE**2).astype(np.int32)[:, None, None]
        upper, lower = table[at], table[at + TABLE_SIZE]
        upper += (table[at + 1] - upper) * fx
        lower += (table[at + TABLE_SIZE + 1] - lower) * fx
        upper += (lower - upper) * fy
        distance: Floats = upper * (radius * self.size)[:, None, None]
        return distance

    def paint(self, alpha: Floats, rgb: Floats, shade: float | Floats = 0.0) -> None:
        """Blend one colour over each picture, with one opacity per pixel.

        Args:
            alpha: opacity (B, S, S), 0-1.
            rgb: colours (B, 3).
            shade: brightness that is added to all three channels of the colour, a number or (B, S, S).
        """
        for c in range(3):
            plane = self.planes_bchw[:, c]
            plane += alpha * (rgb[:, c, None, None] + shade - plane)

    def to_images(self) -> NDArray[np.uint8]:
        """Return the drawn pictures as RGB images, uint8 (B, S, S, 3)."""
        rounded = (self.planes_bchw.clip(0, 255) + 0.5).astype(np.uint8)
        return rounded.transpose(0, 2, 3, 1)


def paint_scenes(
    words: NDArray[np.uint64], labels: NDArray[np.int64], size: int
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Draw pictures of an object with its shadow in front of distractor shapes; a twig crosses most of the objects.

    Args:
        words: random bits, uint64 (B, WORDS_PER_IMAGE), one row per picture.
        labels: shape of each object (B,), as an index into SHAPE_NAMES.
        size: side S in pixels.

    Returns:
        Images, uint8 (B, S, S, 3), and a mask, bool (B, S, S), of pixels that the object covers at least half.
    """
    dice, canvas = Dice(words), Canvas(len(words), size)
    lighter = dice.uniform(0, 1) < LIGHTER_FRACTION
    ground = np.where(lighter, dice.uniform(55, 135), dice.uniform(120, 200))
    contrast = dice.uniform(*CONTRAST)
    grey = np.where(lighter, ground + contrast, ground - contrast)
    hue, chroma = dice.angle(), dice.uniform(25, 80)

    ground_hue = dice.angle()
    first = colour(ground - dice.uniform(0, 22), ground_hue, dice.uniform(10, 45))
    second = colour(ground + dice.uniform(0, 22), ground_hue + dice.choice(70), dice.uniform(10, 45))
    mix = canvas.ramp(dice.angle()) + smooth_noise(dice.uniform(0, 1, 5, 5), size)
    grain = smooth_noise(dice.uniform(-1, 1, 17, 17), size) * dice.uniform(4, 16)[:, None, None]
    canvas.paint(np.ones_like(mix), first, grain)
    canvas.paint(mix.clip(0, 1), second, grain)

    for k in range(NUM_CLUTTER):
        camouflaged = k < NUM_CAMOUFLAGED
        kind = len(SHAPE_NAMES) + dice.choice(len(CLUTTER_NAMES))
        radius = dice.uniform(0.06, 0.13 if camouflaged else 0.17) * np.where(
            kind == _BAR, np.float32(2), np.float32(1)
        )
        alpha = coverage(canvas.distance(kind, dice.uniform(0, 1), dice.uniform(0, 1), radius, dice.angle()))
        tones = colour(ground + dice.uniform(-60, 60), dice.angle(), dice.uniform(0, 70))
        canvas.paint(alpha, colour(grey + dice.uniform(-15, 15), hue, chroma) if camouflaged else tones)

    # choose the object's area at random, not its radius, so that the size of an object does not reveal its class;
    # MAX_RADIUS limits the area
    areas = np.array([area(name) for name in SHAPE_NAMES], np.float32)[labels]
    covered = dice.uniform(OBJECT_AREA[0], np.minimum(np.float32(OBJECT_AREA[1]), areas * np.float32(MAX_RADIUS**2)))
    radius = np.sqrt(covered / areas)
    x, y = (radius + dice.uniform(0, 1) * (1 - 2 * radius) for _ in range(2))
    angle = dice.angle()
    shadow = coverage(canvas.distance(labels, x + 0.02, y + 0.03, radius, angle) / np.float32(0.08 * size))
    canvas.paint(shadow * 0.35, np.zeros((len(words), 3), np.float32))
    silhouette = coverage(canvas.distance(labels, x, y, radius, angle))
    shade = canvas.ramp(dice.angle()) * dice.uniform(0, 50)[:, None, None]
    shade += smooth_noise(dice.uniform(-1, 1, 9, 9), size) * dice.uniform(0, 14)[:, None, None]
    canvas.paint(silhouette, colour(grey, hue, chroma), shade)

    width = dice.uniform(*TWIG_WIDTH) * np.sqrt(covered)
    tx, ty = (at + dice.uniform(-0.6, 0.6) * radius for at in (x, y))
    kind = np.full(len(words), _BAR)
    twig = coverage(canvas.distance(kind, tx, ty, width / np.float32(_BAR_WIDTH), dice.angle()))
    twig *= (dice.uniform(0, 1) < TWIG_FRACTION)[:, None, None]
    canvas.paint(twig, colour(ground + dice.uniform(-40, 40), dice.angle(), dice.uniform(0, 60)))
    return canvas.to_images(), silhouette * (1 - twig) >= 0.5
