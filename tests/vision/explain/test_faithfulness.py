import json

import numpy as np
import pytest
import torch

from s10_pipeline.vision.explain.faithfulness import CONTROLS, PERCENTAGES, check_cams, crossed_mean, judge
from s10_pipeline.vision.network.classifier import Classifier, ClassifierSpec

NUM = 12
GRIDS = [(4, 4)]


class LooksAtOnePlace(Classifier):
    """Says class 1 by how bright the image is at a place that is told by the colour of the first pixel."""

    def forward(self, images_bchw: torch.Tensor) -> torch.Tensor:
        x = images_bchw.float()
        size = x.shape[-1] // 4
        rows = torch.arange(len(x))
        patches = x[:, 1].unfold(1, size, size).unfold(2, size, size).mean((3, 4)).flatten(1)
        place = (x[:, 0, 0, 0] / 16).round().long().clip(0, 15)
        bright = patches[rows, place]
        return torch.stack([torch.zeros_like(bright), (bright - 128) / 16], dim=1)


def scene(size: int = 32) -> tuple[LooksAtOnePlace, np.ndarray, np.ndarray]:
    """A model, images whose bright patch lies in one of 16 places, and maps that point there."""
    architecture = {"depth": 8, "width": 4, "stem": "cifar"}
    spec = ClassifierSpec(architecture, ("a", "b"), (0,) * 3, (60,) * 3, {"image_size": [32, 32]})
    images = np.full((NUM, size, size, 3), 40, np.uint8)
    cams = np.zeros((NUM, size, size), np.float32)
    side = size // 4
    for i in range(NUM):
        row, column = divmod((5 * i + 3) % 16, 4)
        patch = np.s_[row * side : (row + 1) * side, column * side : (column + 1) * side]
        images[i][patch] = 230
        cams[i][patch] = 1
        images[i, 0, 0, 0] = 16 * ((5 * i + 3) % 16)
    return LooksAtOnePlace(spec), images, cams


@pytest.mark.parametrize("size", [32, 96])
def test_maps_of_the_right_place_are_trusted(size: int) -> None:
    model, images, cams = scene(size)
    found = check_cams(model, images, np.ones(NUM, int), cams, GRIDS, seed=0)
    assert found["verdict"]["verdict"] == "found"
    assert found["verdict"]["n"] == NUM
    assert found["num_maps"] == NUM and found["num_blank"] == 0 and found["percentages"] == list(PERCENTAGES)
    assert found["drop"]["maps"][0] > 0.9 > 0.5 > found["drop"]["random_maps"][0]
    assert set(found["advantage"]) == set(CONTROLS)
    assert json.loads(json.dumps(found)) == found


def test_maps_of_other_places_are_not() -> None:
    model, images, cams = scene()
    elsewhere = check_cams(model, images, np.ones(NUM, int), np.roll(cams, 8, axis=2), GRIDS, seed=0)
    assert elsewhere["verdict"]["verdict"] == "not_found"
    assert all(elsewhere["advantage"][control]["mean"] < 0 for control in CONTROLS)
    # one map for all images cannot beat the maps of other images
    same_for_all = cams[:1].repeat(NUM, 0)
    found = check_cams(model, images, np.ones(NUM, int), same_for_all, GRIDS, seed=0)
    assert found["verdict"]["verdict"] != "found"
    assert abs(found["advantage"]["other_maps"]["mean"]) < 0.15


def test_is_repeatable_and_leaves_the_random_state_alone() -> None:
    model, images, cams = scene()
    state = torch.get_rng_state()
    first, again, other = (check_cams(model, images, np.ones(NUM, int), cams, GRIDS, seed=seed) for seed in (3, 3, 4))
    assert first == again != other
    assert torch.equal(torch.get_rng_state(), state)


def test_blank_maps_are_left_out_and_few_are_not_judged() -> None:
    model, images, cams = scene()
    cams[:4] = 0
    found = check_cams(model, images, np.ones(NUM, int), cams, GRIDS, seed=0)
    assert (found["num_maps"], found["num_blank"]) == (NUM - 4, 4)
    cams[:8] = 0
    few = check_cams(model, images, np.ones(NUM, int), cams, GRIDS, seed=0)
    assert (few["num_maps"], few["verdict"]["verdict"], few["drop"], few["advantage"]) == (4, "unknown", {}, {})
    none = check_cams(model, images[:0], np.ones(0, int), cams[:0], GRIDS, seed=0)
    assert (none["verdict"]["verdict"], none["verdict"]["n"]) == ("unknown", 0)


@pytest.mark.parametrize(
    ("ends", "verdict", "decides"),
    [
        ([(0.1, 0.2), (0.05, 0.2)], "found", 1),
        ([(0.1, 0.2), (-0.1, 0.2)], "unknown", 1),
        ([(-0.01, 0.05), (0.1, 0.2)], "unknown", 0),
        ([(0.1, 0.2), (-0.1, 0.01)], "not_found", 1),
        ([(-0.2, -0.1), (0.1, 0.2)], "not_found", 0),
        # predictions so sure that nothing moves them: always above, by nothing that the page could show
        ([(1e-9, 1e-8), (1e-9, 1e-8)], "not_found", 0),
    ],
)
def test_verdicts(ends: list[tuple[float, float]], verdict: str, decides: int) -> None:
    intervals = [{"mean": (low + high) / 2, "low": low, "high": high} for low, high in ends]
    advantage = dict(zip(CONTROLS, intervals, strict=True))
    judged = judge(advantage, 100)
    assert (judged.verdict, judged.n, (judged.low, judged.high)) == (verdict, 100, ends[decides])


def test_the_interval_holds_the_mean_nineteen_times_in_twenty_where_images_share_maps() -> None:
    """Each difference has a part of the image and one of the map that eight images meet."""
    rng, inside = np.random.default_rng(0), 0
    for _ in range(400):
        image, shared = rng.normal(0, 1, 60), rng.normal(0, 1, 60)
        values = np.stack([image + np.roll(shared, -d) for d in range(1, 9)], axis=1) + rng.normal(0.3, 1, (60, 8))
        _, low, high = crossed_mean(values)
        inside += low <= 0.3 <= high
    assert 0.92 <= inside / 400 <= 0.98


@pytest.mark.parametrize("num_images", [5, 8])
def test_few_images_give_no_interval_of_zero_width(num_images: int) -> None:
    """The sum of the clustered variances is negative for some data."""
    rng = np.random.default_rng(0)
    intervals = [crossed_mean(rng.normal(size=(num_images, min(8, num_images - 1)))) for _ in range(2000)]
    # The narrowest of 2,000 intervals is as wide as a hundredth of their median.
    widths = np.array([high - low for _, low, high in intervals])
    assert widths.min() > np.median(widths) / 100
