"""Check class activation maps: does the prediction suffer if the pixels that a map marks are removed?

The method is ROAD, "remove and debias" (Rong et al. 2022, arXiv:2202.00449). Removed pixels are imputed from their
neighbours, so that neither a hole nor its outline gives information to the network. Random single pixels are no fair
control: imputation restores them from their neighbours, so removing any connected region lowers the probability more.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.stats import t as student

from ..data.loader import cap_batch_size, plain_batches
from ..evaluation.verdict import Verdict
from ..network.classifier import Classifier
from ..progress import progress_bar
from .cams import is_blank
from .imputation import impute

# Percentages of an image's pixels that are removed to check a class activation map; each is tried separately.
PERCENTAGES = (10, 20, 40)
# Controls that a class activation map has to beat: maps of random patches as large as a cell of the map, and maps of
# other images, which mark where objects usually are.
CONTROLS = ("random_maps", "other_maps")
# Number of control maps of each kind with which the class activation map of an image is compared.
NUM_DRAWS = 8
# With fewer class activation maps than this, the verdict on them is "unknown".
MIN_MAPS = 5
# Maximum number of misclassified images whose class activation maps are checked.
MAX_MAPS = 200
# Class activation maps beat a control if removing their pixels lowers the probability by more: the 95 % interval of the
# difference must start above 0.1 percentage points. The limit is not 0, because rounding errors can exceed 0.
MIN_ADVANTAGE = 0.001
# Class activation maps do not beat a control if removing their pixels lowers the probability by at most 2 percentage
# points more: the 95 % interval of the difference must end below this.
WORTH_LOOKING = 0.02

# Height and width in pixels at which removed pixels are estimated from their neighbours. Larger images are reduced to
# it; only removed pixels are enlarged again, which loses little because they are smooth.
_SOLVED_SIZE = 64
# Standard deviation of the noise added to estimated pixels, as a share of that of training pixels (Rong et al. 2022).
_NOISE = 0.01

Cams = NDArray[np.float32]


def check_cams(
    model: Classifier,
    images_nhwc: NDArray[np.uint8],
    targets: NDArray[np.integer],
    cams_nhw: Cams,
    grids: Sequence[tuple[int, int]],
    *,
    seed: int,
    device: torch.device | str = "cpu",
) -> dict[str, Any]:
    """Check whether removing the pixels that a map marks most lowers the class's probability more than control maps do.

    A control map (:data:`CONTROLS`) removes as many pixels.

    Args:
        model: put into evaluation mode; on the CPU afterwards.
        images_nhwc: uint8 (N, H, H, 3), RGB.
        targets: class that each map explains (N,).
        cams_nhw: float32 (N, H, H) in [0, 1]; blank maps are left out.
        grids: rows and columns of cells in the explained layers (:func:`~.gradcam.find_grids`).
        seed: seed of the random patches.

    Returns:
        A dictionary that JSON can store: ``num_maps``, ``num_blank``, ``percentages``; ``drop``, the mean fall of the
        explained class's probability at each percentage, for ``maps`` and each control; ``advantage``, per control the
        ``mean`` of the map's fall minus the control's, with the ends ``low`` and ``high`` of a 95 % interval; and
        ``verdict`` (:class:`~..evaluation.verdict.Verdict`).
    """
    kept = np.flatnonzero(~is_blank(cams_nhw))
    found: dict[str, Any] = {
        "num_maps": len(kept),
        "num_blank": len(cams_nhw) - len(kept),
        "percentages": list(PERCENTAGES),
        "drop": {},
        "advantage": {},
    }
    if len(kept) >= MIN_MAPS:
        model = model.to(device).eval()
        falls = _falls(model, images_nhwc[kept], np.asarray(targets)[kept], cams_nhw[kept], grids, seed)
        model.cpu()
        found["drop"] = {name: fall_ndp.mean((0, 1)).tolist() for name, fall_ndp in falls.items()}
        for control in CONTROLS:
            interval = crossed_mean((falls["maps"] - falls[control]).mean(2))
            found["advantage"][control] = dict(zip(("mean", "low", "high"), interval, strict=True))
    return {**found, "verdict": judge(found["advantage"], len(kept)).as_dict()}


def judge(advantage: dict[str, dict[str, float]], num_maps: int) -> Verdict:
    """Return the verdict on whether maps mark the pixels that predictions depend on, by how far they beat controls.

    "found" if they are surely better than both controls; "not_found" if they are surely less than 2 points better than
    the control that is harder to beat; else "unknown".
    """
    if not advantage:
        told = f"{num_maps} map{'s are' if num_maps != 1 else ' is'} too few to judge by"
        return Verdict("cam_trust", "unknown", num_maps, told)
    control, worst = min(advantage.items(), key=lambda item: item[1]["low"])
    against = {"random_maps": "random patches", "other_maps": "those that another image's map marks"}[control]
    mean, low, high = worst["mean"], worst["low"], worst["high"]
    told = (
        f"removing the pixels that a map marks lowers the prediction's probability by {100 * mean:.1f} points more "
        f"than removing {against} (95% interval {100 * low:.1f} to {100 * high:.1f}, {num_maps} maps)"
    )
    if low > MIN_ADVANTAGE:
        return Verdict("cam_trust", "found", num_maps, told.capitalize(), mean, low, high)
    if high < WORTH_LOOKING:
        sentence = f"Not better than the control by {100 * WORTH_LOOKING:.0f} points or more: {told}"
        return Verdict("cam_trust", "not_found", num_maps, sentence, mean, low, high)
    return Verdict("cam_trust", "unknown", num_maps, f"Cannot be told: {told}", mean, low, high)


def crossed_mean(values_nd: NDArray[np.float64]) -> tuple[float, float, float]:
    """Return the mean advantage of class activation maps over control maps, and both ends of its 95 % interval.

    The comparisons are not independent, because each image and each map occurs in several of them. So the variance is
    clustered by image and by map (Cameron, Gelbach and Miller 2011, doi:10.1198/jbes.2010.07136). For few images, that
    variance can be too small or negative, so the variance clustered by image alone or by map alone is its lower limit.

    Args:
        values_nd: (N, D): row i, column d compares image i with the control map (i + d + 1) modulo N.
    """
    mean = values_nd.mean()
    rest_nd = values_nd - mean
    by_map_nd = np.stack([np.roll(rest, d + 1) for d, rest in enumerate(rest_nd.T)], axis=1)
    by_image, by_map, by_cell = ((sums**2).sum() for sums in (rest_nd.sum(1), by_map_nd.sum(1), rest_nd))
    variance = max(by_image + by_map - by_cell, by_image, by_map)
    half = float(student.ppf(0.975, len(rest_nd) - 1)) * np.sqrt(variance) / rest_nd.size
    return float(mean), float(mean - half), float(mean + half)


def _falls(
    model: Classifier,
    images_nhwc: NDArray[np.uint8],
    targets: NDArray[np.integer],
    cams_nhw: Cams,
    grids: Sequence[tuple[int, int]],
    seed: int,
) -> dict[str, NDArray[np.float64]]:
    """Return how far the explained class's probability falls if the pixels that a map marks are removed.

    The array "maps" is for the images' own class activation maps, (N, 1, percentages). That of each control has up to
    NUM_DRAWS control maps per image, (N, draws, percentages). The pixels that a map marks are removed from all images
    compared with it at once, because the linear system of the imputation is the same.
    """
    rng = np.random.default_rng(seed)
    n, size = len(images_nhwc), min(images_nhwc.shape[1], _SOLVED_SIZE)
    num_draws = min(NUM_DRAWS, n - 1)
    before_n = _probabilities(model, images_nhwc, targets)
    noise = _NOISE * float(model.std.mean())
    small_cams = np.stack([_resize(cam, size) for cam in cams_nhw])
    random_cams = np.stack([_random_map(grids, size, rng) for _ in range(n)])
    falls = {name: np.empty((n, num_draws, len(PERCENTAGES))) for name in CONTROLS}
    falls["maps"] = np.empty((n, 1, len(PERCENTAGES)))
    with progress_bar("check of the maps", 2 * n, "maps") as bar:
        for name, maps_nhw, first in (("other_maps", small_cams, 0), ("random_maps", random_cams, 1)):
            for j, map_hw in enumerate(maps_nhw):
                # Indices of the images from which the pixels that this map marks are removed. The own image of a class
                # activation map comes first; a random map has none.
                tested = (j - np.arange(first, num_draws + 1)) % n
                # Order the pixels by the map's value, largest first. Random values order pixels of equal value.
                order = np.lexsort((rng.random(size * size), map_hw.ravel()))[::-1]
                chosen = [order[: round(percentage / 100 * size * size)] for percentage in PERCENTAGES]
                without = np.concatenate([_remove(images_nhwc[tested], pixels, size, noise, rng) for pixels in chosen])
                after = _probabilities(model, without, np.tile(targets[tested], len(PERCENTAGES)))
                fall = before_n[tested, None] - after.reshape(len(PERCENTAGES), -1).T
                falls[name][tested[1 - first :], np.arange(num_draws)] = fall[1 - first :]
                if not first:
                    falls["maps"][j, 0] = fall[0]
                bar.advance()
    return falls


def _random_map(grids: Sequence[tuple[int, int]], size: int, rng: np.random.Generator) -> Cams:
    """Return a random control map: one random value per cell of the explained layer's feature map, enlarged.

    Its side is ``size``. For several layers, it is the mean of their random maps, as for class activation maps.
    """
    cells = [_resize(rng.random(grid, dtype=np.float32), size) for grid in grids]
    mean: Cams = np.mean(cells, axis=0, dtype=np.float32)
    return mean


def _remove(
    images_nhwc: NDArray[np.uint8], chosen: NDArray[np.integer], size: int, noise: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return the images, float32 (N, H, H, 3), with the ``chosen`` pixels replaced by estimates from their neighbours.

    Args:
        chosen: flat indices into an image of ``size`` x ``size`` pixels, to which larger images are reduced.
    """
    whole = images_nhwc.astype(np.float32)
    if size == whole.shape[1]:
        return impute(whole, chosen, noise, rng).clip(0, 255)
    small = _resize_all(whole, size)
    large = _resize_all(impute(small, chosen, noise, rng).clip(0, 255), whole.shape[1])
    mask = np.zeros((size, size), np.uint8)
    mask.flat[chosen] = 1
    enlarged = Image.fromarray(mask).resize(whole.shape[1:3], Image.Resampling.NEAREST)
    return np.where(np.asarray(enlarged)[..., None] > 0, large, whole)


def _resize_all(images_nhwc: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    return np.stack([[_resize(image[..., c], size) for c in range(3)] for image in images_nhwc]).transpose(0, 2, 3, 1)


def _resize(values_hw: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    if values_hw.shape == (size, size):
        return values_hw
    rule = Image.Resampling.BOX if size < len(values_hw) else Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(values_hw).resize((size, size), rule))


def _probabilities(model: Classifier, images_nhwc: NDArray[Any], targets: NDArray[np.integer]) -> NDArray[np.float64]:
    rows, batch_size = np.arange(len(targets)), cap_batch_size(500, images_nhwc.shape[1:3])
    batches = plain_batches(images_nhwc, targets.astype(np.int64), rows, batch_size)
    p_nk = np.concatenate([model.probabilities(images_bchw).numpy() for images_bchw, _ in batches])
    chosen: NDArray[np.float64] = p_nk[rows, targets]
    return chosen
