"""Draw the pictures of ``shapes10`` from random numbers: the same scene at any image size.

All computation is elementwise float32 (see :mod:`.outlines` for the reason). Lengths are fractions of the image's side,
grey values and colours are 0-255. In array shapes, B is the number of images and S the side in pixels.
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

WORDS_PER_IMAGE = 576
OBJECT_AREA = (0.19, 0.38)
MAX_RADIUS = 0.475  # The object is then entirely in the picture, and its shadow mostly.
TWIG_WIDTH = (0.06, 0.11)  # Relative to the square root of the object's area; a twig then hides at most a sixth of it.
# These five values decide how hard the task is, most of all the first. Test accuracy of a ResNet-8 of width 16 (4,000
# pictures, 11 epochs, batch size 64, learning rate 0.1): about 40 % if half of the objects are lighter than the
# background, 98 % if all are, 82-90 % with 7/8; 99 % with 8/9 and 16,000 pictures.
LIGHTER_FRACTION = 7 / 8
CONTRAST = (36.0, 110.0)
NUM_CLUTTER = 9
NUM_CAMOUFLAGED = 2  # number of clutter pieces in nearly the object's colour
TWIG_FRACTION = 0.9

_COS, _SIN = COS.astype(np.float32), SIN.astype(np.float32)
_BAR = len(SHAPE_NAMES) + CLUTTER_NAMES.index("bar")
_BAR_WIDTH = 0.12  # relative to its radius


class Dice:
    """Random numbers for B images, from one row of random words per image; all images use equally many numbers."""

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
        """Return random integers (B,) in [0, n)."""
        return self.uniform(0, n).astype(np.intp)

    def angle(self) -> Ints:
        return self.choice(NUM_ANGLES)


def colour(grey: Floats, hue: Ints, chroma: Floats) -> Floats:
    """Return RGB colours (B, 3) with mean ``grey`` and distance ``chroma`` from it in direction ``hue``.

    ``hue`` is an angle in steps of NUM_ANGLES. Values are clipped to 0-255.
    """
    wheel = np.stack([_COS[(hue + k * NUM_ANGLES // 3) % NUM_ANGLES] for k in range(3)], axis=1)
    rgb: Floats = (grey[:, None] + chroma[:, None] * wheel).clip(0, 255)
    return rgb


def smooth_noise(lattice: Floats, size: int) -> Floats:
    """Interpolate random values (B, n, n) on a grid over the image smoothly to (B, S, S)."""
    n = lattice.shape[1]
    at = (np.arange(size, dtype=np.float32) + 0.5) * np.float32((n - 1) / size)
    i = at.astype(np.intp)
    f = at - i
    f = f * f * (3 - 2 * f)
    rows = lattice[:, i] + (lattice[:, i + 1] - lattice[:, i]) * f[:, None]
    noise: Floats = rows[:, :, i] + (rows[:, :, i + 1] - rows[:, :, i]) * f
    return noise


def coverage(distance: Floats) -> Floats:
    """Return the share (0-1) of each pixel inside an outline, from its signed distance in pixels (anti-aliasing)."""
    return (0.5 - distance).clip(0, 1)


class Canvas:
    """B pictures that are being drawn: ``planes_bchw``, float32 (B, 3, S, S)."""

    def __init__(self, num_images: int, size: int) -> None:
        self.size = size
        self.planes_bchw = np.zeros((num_images, 3, size, size), np.float32)
        self._centres = (np.arange(size, dtype=np.float32) + 0.5) / np.float32(size)

    def ramp(self, angle: Ints) -> Floats:
        """Return a linear gradient (B, S, S): 0 at the centre, increasing in direction ``angle``, within +-0.71."""
        cos, sin = _COS[angle][:, None, None], _SIN[angle][:, None, None]
        at = self._centres - 0.5
        ramp: Floats = at * cos + at[:, None] * sin
        return ramp

    def distance(self, kind: Ints, x: Floats, y: Floats, radius: Floats, angle: Ints) -> Floats:
        """Return the signed distance in pixels (B, S, S) to an outline per image.

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
        """Blend the colour ``rgb`` (B, 3), plus ``shade`` per pixel, over the pictures; opacity ``alpha`` (B, S, S)."""
        for c in range(3):
            plane = self.planes_bchw[:, c]
            plane += alpha * (rgb[:, c, None, None] + shade - plane)

    def to_images(self) -> NDArray[np.uint8]:
        """Return the pictures as uint8 (B, S, S, 3)."""
        rounded = (self.planes_bchw.clip(0, 255) + 0.5).astype(np.uint8)
        return rounded.transpose(0, 2, 3, 1)


def paint_scenes(
    words: NDArray[np.uint64], labels: NDArray[np.int64], size: int
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Draw one picture per row of ``words``: background, clutter, the object with its shadow, mostly a twig across it.

    Args:
        words: random bits, uint64 (B, WORDS_PER_IMAGE).
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

    # the area is chosen at random, not the radius, so that size does not reveal the class; MAX_RADIUS limits it
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
