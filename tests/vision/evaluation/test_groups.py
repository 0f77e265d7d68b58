import numpy as np
import pytest

from s10_pipeline.vision.evaluation.groups import count_groups, effective_number
from s10_pipeline.vision.evaluation.judge import judge_accuracy, judge_shift
from s10_pipeline.vision.evaluation.metrics import compute_metrics

ACCURACY, CORRELATION, SIZE = 0.85, 0.3, 20


def drawn(rng: np.random.Generator, num_groups: int) -> tuple[np.ndarray, np.ndarray]:
    """Whether images are right, with groups whose accuracies differ, and the groups in random order."""
    spread = (1 - CORRELATION) / CORRELATION
    share_g = rng.beta(ACCURACY * spread, (1 - ACCURACY) * spread, num_groups)
    groups = rng.permutation(np.repeat(np.arange(num_groups), SIZE))
    return rng.random(len(groups)) < share_g[groups], groups


def test_in_groups_the_interval_holds_the_accuracy_and_no_shift_is_found():
    rng, covered, found = np.random.default_rng(0), [], []
    for _ in range(400):
        (right, groups), (val_right, val_groups) = drawn(rng, 40), drawn(rng, 20)
        p_nk = np.where(right[:, None], [0.9, 0.1], [0.1, 0.9])
        metrics = compute_metrics(p_nk, np.zeros(len(right), int), ("a", "b"), 15, groups)
        metrics |= {"val_accuracy": val_right.mean(), "num_val_images": len(val_right)}
        metrics |= count_groups("val", val_right, val_groups)
        accuracy = judge_accuracy(metrics)
        covered.append(accuracy.low <= ACCURACY <= accuracy.high)
        found.append(judge_shift(metrics).verdict == "found")
    assert np.mean(covered) > 0.9 and np.mean(found) <= 0.02
    assert (
        "800 test images in 40 groups" in accuracy.sentence and "in 20 and 40 groups" in judge_shift(metrics).sentence
    )


RIGHT = np.array([True] * 60 + [False] * 40)


@pytest.mark.parametrize(
    ("right", "groups", "lowest", "highest"),
    [
        (RIGHT, None, 100, 100),
        (RIGHT, np.arange(100)[::-1], 100, 100),  # each image its own group
        (RIGHT, np.tile(np.arange(10), 10), 100, 100),  # all groups equally right
        (RIGHT, np.repeat(np.arange(50), 2), 45, 50),  # pairs that are always equally right
        (RIGHT, np.repeat(np.arange(10), 10), 6, 9),  # fewer than 10, for 10 groups tell V badly
        (RIGHT, np.zeros(100, int), 1, 1),
        (RIGHT | True, np.repeat(np.arange(10), 10), 10, 10),
        (RIGHT & False, np.repeat(np.arange(10), 10), 10, 10),
    ],
)
def test_the_effective_number_of_images(right, groups, lowest, highest):
    assert lowest <= effective_number(right, groups) <= highest
