import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from s10_pipeline.vision.data.image_set import ImageSet
from s10_pipeline.vision.evaluation.label_errors import FALSE_DISCOVERIES, find_label_errors, q_values

NAMES = ("cat", "dog", "eel")


def searched(margins: dict[str, np.ndarray]) -> tuple[pd.DataFrame, list[ImageSet]]:
    """Margins by split, and images of as many labels, of which every third is a cat, a dog, an eel."""
    parts = [pd.DataFrame({"split": name, "index": np.arange(len(m)), "margin": m}) for name, m in margins.items()]
    pixels = np.zeros((2000, 2, 2, 3), np.uint8)
    return pd.concat(parts), [ImageSet(pixels, np.arange(2000) % 3, NAMES, None, {})] * 2


def test_listed_are_the_margins_that_scatter_does_not_explain():
    sizes = {"train": 2000, "val": 300, "test": 1000}
    margins = {split: np.linspace(0, 1, n) for split, n in sizes.items()}
    changed = {"train": [4, 1999, 699], "test": [10]}
    for split, rows in changed.items():
        margins[split][rows] = -9 + np.arange(len(rows))
    table, images = searched(margins)
    found = find_label_errors(table, *images, lambda _, rows: np.tile([0.5, 0.3, 0.2], (len(rows), 1)))
    listed = {split: sorted(rows["index"]) for split, rows in found.groupby("split")}
    assert listed == {"train": [4, 699, 1999], "test": [10]}
    assert found.iloc[0][["split", "index", "margin"]].tolist() in (["train", 4, -9], ["test", 10, -9])
    # the model's best guess is a cat, and where the label says so, a dog
    by_index = found.set_index("index")
    columns = ["label_name", "suggested_name", "p_label", "p_suggested"]
    assert by_index.loc[[4, 1999], columns].to_numpy().tolist() == [["dog", "cat", 0.3, 0.5]] * 2
    assert by_index.loc[699, columns].tolist() == ["cat", "dog", 0.5, 0.3]


@pytest.mark.parametrize("num_wrong", [100, 200])
def test_the_q_value_bounds_the_share_of_right_labels(num_wrong):
    rng, wrong = np.random.default_rng(0), np.arange(2000) < num_wrong
    listed = [q_values(rng.normal(-4.0 * wrong, 1)) <= FALSE_DISCOVERIES for _ in range(50)]
    assert 0.03 < np.mean([(rows & ~wrong).sum() / rows.sum() for rows in listed]) < FALSE_DISCOVERIES
    # wrong labels widen the spread that is estimated, but little
    assert np.mean([rows[wrong].mean() for rows in listed]) > 0.9


def test_the_deviation_is_that_of_the_lower_half():
    left, right = norm.ppf(np.linspace(0.001, 0.5, 500)), norm.ppf(np.linspace(0.5, 0.999, 500))
    skewed = np.concatenate([left, 7 * right, [-5.0]])
    assert np.flatnonzero(q_values(3 + 2 * skewed) < 0.01).tolist() == [1000]
    assert q_values(np.full(3, 1.5)).tolist() == [0.5] * 3


def test_an_empty_list_has_all_columns():
    table, images = searched({"train": np.zeros(5), "test": np.zeros(3)})
    found = find_label_errors(table, *images, lambda *_: pytest.fail("nothing to classify"))
    columns = "split index label_name suggested_name p_label p_suggested margin q_value"
    assert found.columns.tolist() == columns.split() and found.empty
