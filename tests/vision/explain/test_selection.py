import numpy as np
import pandas as pd
import pytest

from s10_pipeline.vision.explain.params import SELECTIONS, ExplainParams
from s10_pipeline.vision.explain.selection import draw_mistakes, select_misclassified


def predictions(num_images: int = 100) -> pd.DataFrame:
    """Every third image is wrong; confidences repeat, so that ties occur."""
    index = np.arange(num_images)
    table = pd.DataFrame({"index": index, "label": index % 2, "confidence": 0.5 + (index % 5) / 10})
    table["prediction"] = table["label"] ^ (index % 3 == 0)
    return table.sample(frac=1, random_state=0)


@pytest.mark.parametrize(
    ("selection", "expected"),
    # wrong: 0, 3, ..., 27; their confidences by index % 5: 9, 24 (0.9), 3, 18 (0.8)
    [("most_confident", [9, 24, 3, 18]), ("first", [0, 3, 6, 9])],
)
def test_ties_and_the_order_of_rows_do_not_matter(selection: str, expected: list[int]) -> None:
    chosen = select_misclassified(predictions(30), ExplainParams(num_images=4, selection=selection))
    assert chosen["index"].tolist() == expected


def test_random_depends_on_the_seed_alone() -> None:
    def draw(seed: int, rows: pd.DataFrame) -> list[int]:
        params = ExplainParams(num_images=10, selection="random", seed=seed)
        return select_misclassified(rows, params)["index"].tolist()

    rows = predictions()
    assert draw(1, rows) == draw(1, rows.sort_values("confidence"))
    assert draw(1, rows) != draw(2, rows)
    assert draw(1, rows) != sorted(draw(1, rows))
    assert all(index % 3 == 0 for index in draw(1, rows)) and len(set(draw(1, rows))) == 10


@pytest.mark.parametrize("selection", SELECTIONS)
def test_fewer_mistakes_than_asked_for(selection: str) -> None:
    rows = predictions(10)
    chosen = select_misclassified(rows, ExplainParams(num_images=25, selection=selection))
    assert sorted(chosen["index"]) == [0, 3, 6, 9]
    none = select_misclassified(rows[rows["label"] == rows["prediction"]], ExplainParams(selection=selection))
    assert len(none) == 0
    pd.testing.assert_series_equal(none.dtypes, rows.dtypes)
    assert list(none.columns) == list(chosen.columns) == list(rows.columns)


def test_mistakes_are_drawn_from_all_of_them() -> None:
    drawn = draw_mistakes(predictions(300), 50, seed=0)
    assert len(drawn) == 50
    assert (drawn["label"] != drawn["prediction"]).all()
    assert drawn["confidence"].mean() == pytest.approx(0.7, abs=0.05), "not the surest"
    assert len(draw_mistakes(predictions(), 200, seed=0)) == 34
