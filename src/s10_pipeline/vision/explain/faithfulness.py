"""Check class activation maps: does the prediction suffer if the pixels that a map marks are removed?

The method is ROAD, "remove and debias" (Rong et al. 2022, arXiv:2202.00449). Removed pixels are imputed from their
neighbours, so that neither a hole nor its outline gives information to the network.
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

# Percentages of an image's pixels that are removed.
PERCENTAGES = (10, 20, 40)
# Controls that a map has to beat: random patches as large as a cell of the map, and maps of other images, which mark
# where objects usually are. Random single pixels are no fair control: imputation restores them from their neighbours,
# so removing any connected region lowers the probability more. Each image is compared with NUM_DRAWS maps of each
# control.
CONTROLS = ("random_maps", "other_maps")
NUM_DRAWS = 8
MIN_MAPS, MAX_MAPS = 5, 200
# Maps are better than a control if their advantage is surely above MIN_ADVANTAGE (0.1 percentage points; rounding could
# exceed 0). Otherwise, if it is surely below WORTH_LOOKING (2 points), they are judged not better by 2 points.
MIN_ADVANTAGE, WORTH_LOOKING = 0.001, 0.02

# Larger images are imputed at this size and enlarged again; imputed pixels are smooth, so little is lost.
_SOLVED_SIZE = 64
_NOISE = 0.01  # noise added to imputed pixels, relative to the standard deviation of pixels, as in the paper

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
    """Remove the pixels that each map marks most, and as many by each of :data:`CONTROLS`; compare the predictions.

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
    """Judge whether the maps mark what the predictions depend on.

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
    """Return the mean of comparisons between images and control maps, with the ends of its 95 % interval.

    The comparisons are not independent, because each image and each map occurs in several of them. So the variance is
    clustered by image and by map (Cameron, Gelbach and Miller 2011, doi:10.1198/jbes.2010.07136).

    Args:
        values_nd: (N, D): row i, column d compares image i with the control map (i + d + 1) modulo N.
    """
    mean = values_nd.mean()
    rest_nd = values_nd - mean
    by_map_nd = np.stack([np.roll(rest, d + 1) for d, rest in enumerate(rest_nd.T)], axis=1)
    variance = (rest_nd.sum(1) ** 2).sum() + (by_map_nd.sum(1) ** 2).sum() - (rest_nd**2).sum()
    half = float(student.ppf(0.975, len(rest_nd) - 1)) * np.sqrt(max(variance, 0.0)) / rest_nd.size
    return float(mean), float(mean - half), float(mean + half)


def _falls(
    model: Classifier,
    images_nhwc: NDArray[np.uint8],
    targets: NDArray[np.integer],
    cams_nhw: Cams,
    grids: Sequence[tuple[int, int]],
    seed: int,
) -> dict[str, NDArray[np.float64]]:
    """Return the fall of the target's probability, (N, draws, percentages), for "maps" (one draw) and each control.

    The pixels that a map marks are removed from all images compared with it at once, because the linear system of the
    imputation is the same.
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
                # indices of the images compared with this map; for "other_maps" the map's own image comes first
                met = (j - np.arange(first, num_draws + 1)) % n
                # equal values of a map are ordered at random
                order = np.lexsort((rng.random(size * size), map_hw.ravel()))[::-1]
                chosen = [order[: round(percentage / 100 * size * size)] for percentage in PERCENTAGES]
                without = np.concatenate([_remove(images_nhwc[met], pixels, size, noise, rng) for pixels in chosen])
                after = _probabilities(model, without, np.tile(targets[met], len(PERCENTAGES)))
                fall = before_n[met, None] - after.reshape(len(PERCENTAGES), -1).T
                falls[name][met[1 - first :], np.arange(num_draws)] = fall[1 - first :]
                if not first:
                    falls["maps"][j, 0] = fall[0]
                bar.advance()
    return falls


def _random_map(grids: Sequence[tuple[int, int]], size: int, rng: np.random.Generator) -> Cams:
    """Return a map with random values per cell; for several layers the mean of their maps, as for real maps."""
    cells = [_resize(rng.random(grid, dtype=np.float32), size) for grid in grids]
    mean: Cams = np.mean(cells, axis=0, dtype=np.float32)
    return mean


def _remove(
    images_nhwc: NDArray[np.uint8], chosen: NDArray[np.integer], size: int, noise: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return the images, float32 (N, H, H, 3), with the ``chosen`` pixels (flat indices at side ``size``) imputed."""
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
