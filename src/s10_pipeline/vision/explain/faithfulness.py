"""Whether the maps deserve trust: does it hurt the prediction to remove what they point at?

ROAD, "remove and debias" (Rong et al. 2022, arXiv:2202.00449): the pixels are replaced by what their neighbours
suggest, so that neither a hole nor its outline tells the network anything.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from ..data.loader import cap_batch_size
from ..evaluation.intervals import bootstrap_mean
from ..network.classifier import Classifier
from ..progress import progress_bar
from .cams import is_blank
from .imputation import impute

# shares of an image's pixels that are removed
PERCENTAGES = (10, 20, 40)
# What a map has to beat: pixels at random; patches at random, as connected as a map's; and the maps of other
# images, which know where objects usually are. Each is drawn so many times for each image.
CONTROLS = {"random_pixels": 2, "random_maps": 2, "other_maps": 2}
MIN_MAPS = 5
# A tenth of a point, the last digit that a report shows: less is nothing, however surely it is not zero. Predictions
# that nothing moves would give such differences.
MIN_ADVANTAGE = 0.001

# Of larger images the solution is looked for at this size: what neighbours suggest is smooth.
_SOLVED_SIZE = 64
_RANDOM_CELLS = 8  # of a random map, as layer3 has on 32 pixels
_NOISE = 0.01  # as in the paper, of a pixel's deviation

Cams = NDArray[np.float32]


def check_cams(
    model: Classifier,
    images_nhwc: NDArray[np.uint8],
    targets: NDArray[np.integer],
    cams_nhw: Cams,
    *,
    seed: int,
    device: torch.device | str = "cpu",
) -> dict[str, Any]:
    """Remove the highest pixels of each map, and as many by the :data:`CONTROLS`; compare what that does.

    Args:
        model: in evaluation mode; on the CPU afterwards.
        images_nhwc: uint8 (N, H, H, 3), RGB.
        targets: the explained class of each.
        cams_nhw: float32 (N, H, H) in [0, 1]; blank maps are left out: they point at nothing.
        seed: of the random pixels and maps.

    Returns:
        JSON-able: ``num_maps``, ``num_blank``, ``percentages``, ``drop`` (mean fall of the explained class's
        probability at each percentage, of ``maps`` and each control), ``advantage`` (a control: ``mean`` over images
        of the map's fall minus the control's, with the ends ``low`` and ``high`` of a 95 % interval) and ``verdict``:
        ``trust``, ``hint``, ``distrust``, ``open``, or ``too_few`` (fewer than 5 maps).
    """
    kept = np.flatnonzero(~is_blank(cams_nhw))
    found: dict[str, Any] = {
        "num_maps": len(kept),
        "num_blank": len(cams_nhw) - len(kept),
        "percentages": list(PERCENTAGES),
        "drop": {},
        "advantage": {},
        "verdict": "too_few",
    }
    if len(kept) < MIN_MAPS:
        return found
    falls = _falls(model.to(device).eval(), images_nhwc[kept], np.asarray(targets)[kept], cams_nhw[kept], seed)
    model.cpu()
    found["drop"] = {name: fall_np.mean(0).tolist() for name, fall_np in falls.items()}
    for control in CONTROLS:
        advantage_n = (falls["maps"] - falls[control]).mean(1)
        low, high = bootstrap_mean(advantage_n, seed)
        found["advantage"][control] = {"mean": float(advantage_n.mean()), "low": low, "high": high}
    found["verdict"] = judge(found["advantage"])
    return found


def judge(advantage: dict[str, dict[str, float]]) -> str:
    """``trust``: clearly above all controls; ``hint``: above random ones; ``distrust``: below one of those.

    Clearly: the whole interval lies beyond :data:`MIN_ADVANTAGE`.
    """
    if any(advantage[control]["high"] < -MIN_ADVANTAGE for control in ("random_pixels", "random_maps")):
        return "distrust"
    better = {control for control, interval in advantage.items() if interval["low"] > MIN_ADVANTAGE}
    if better >= {"random_pixels", "random_maps"}:
        return "trust" if "other_maps" in better else "hint"
    return "open"


def _falls(
    model: Classifier, images_nhwc: NDArray[np.uint8], targets: NDArray[np.integer], cams_nhw: Cams, seed: int
) -> dict[str, NDArray[np.float64]]:
    """Fall of the target's probability, (N, percentages), of the maps and of each control's draws in the mean."""
    rng = np.random.default_rng(seed)
    n, size = len(images_nhwc), min(images_nhwc.shape[1], _SOLVED_SIZE)
    small_cams = np.stack([_resize(cam, size) for cam in cams_nhw])
    rankings = {"maps": [small_cams]}
    for name, num_draws in CONTROLS.items():
        rankings[name] = [_control(name, draw, small_cams, rng) for draw in range(num_draws)]
    before_n = _probabilities(model, images_nhwc, targets)
    noise = _NOISE * float(model.std.mean())
    falls = {}
    with progress_bar("check of the maps", sum(map(len, rankings.values())), "draws") as bar:
        for name, draws in rankings.items():
            total = np.zeros((n, len(PERCENTAGES)))
            for values_nhw in draws:
                # ties, where a map is flat, are broken at random
                order = np.lexsort((rng.random((n, size * size)), values_nhw.reshape(n, -1)), axis=1)[:, ::-1]
                for column, percentage in enumerate(PERCENTAGES):
                    chosen = order[:, : round(percentage / 100 * size * size)]
                    pairs = zip(images_nhwc, chosen, strict=True)
                    without = np.stack([_remove(image, pixels, size, noise, rng) for image, pixels in pairs])
                    total[:, column] += before_n - _probabilities(model, without, targets)
                bar.advance()
            falls[name] = total / len(draws)
    return falls


def _control(name: str, draw: int, cams_nhw: Cams, rng: np.random.Generator) -> Cams:
    n, size, _ = cams_nhw.shape
    if name == "other_maps":
        return np.roll(cams_nhw, draw + 1, axis=0)
    cells = size if name == "random_pixels" else min(size, _RANDOM_CELLS)
    return np.stack([_resize(cells_hw, size) for cells_hw in rng.random((n, cells, cells), dtype=np.float32)])


def _remove(
    image_hwc: NDArray[np.uint8], chosen: NDArray[np.integer], size: int, noise: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """float32 (H, H, 3): the image, its ``chosen`` pixels (flat, at ``size``) replaced."""
    whole = image_hwc.astype(np.float32)
    small = np.stack([_resize(whole[..., c], size) for c in range(3)], axis=2)
    filled = impute(small, chosen, noise, rng).clip(0, 255)
    if size == len(image_hwc):
        return filled
    large = np.stack([_resize(filled[..., c], len(image_hwc)) for c in range(3)], axis=2)
    mask = np.zeros((size, size), np.uint8)
    mask.flat[chosen] = 1
    enlarged = Image.fromarray(mask).resize(image_hwc.shape[:2], Image.Resampling.NEAREST)
    return np.where(np.asarray(enlarged)[..., None] > 0, large, whole)


def _resize(values_hw: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    if len(values_hw) == size:
        return values_hw
    rule = Image.Resampling.BOX if size < len(values_hw) else Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(values_hw).resize((size, size), rule))


def _probabilities(model: Classifier, images_nhwc: NDArray[Any], targets: NDArray[np.integer]) -> NDArray[np.float64]:
    step = cap_batch_size(500, images_nhwc.shape[1:3])
    rows = []
    for start in range(0, len(images_nhwc), step):
        batch = torch.from_numpy(np.ascontiguousarray(images_nhwc[start : start + step])).permute(0, 3, 1, 2)
        rows.append(model.probabilities(batch).numpy())
    chosen: NDArray[np.float64] = np.concatenate(rows)[np.arange(len(targets)), targets]
    return chosen
