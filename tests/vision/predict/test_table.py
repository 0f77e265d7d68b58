import numpy as np
import pytest

from s10_pipeline.vision.predict.table import prediction_table, readable_rows

PROBABILITIES = np.array([[0.1, 0.2, 0.7], [np.nan] * 3, [0.4, 0.4, 0.2]])


@pytest.mark.parametrize("top_k", [1, 2, 3, 9])
def test_the_likeliest_classes_come_first_and_ties_in_label_order(top_k: int) -> None:
    table = prediction_table(["x", "y", "z"], PROBABILITIES, {1: "broken"}, ["a", "b", "c"], top_k)
    ranks = range(1, min(top_k, 3) + 1)
    assert [c for c in table if c.startswith("top_")] == [
        f"top_{rank}_{what}" for rank in ranks for what in ("name", "confidence")
    ]
    assert table.loc[0, [f"top_{rank}_name" for rank in ranks]].tolist() == ["c", "b", "a"][:top_k]
    assert table.loc[2, [f"top_{rank}_confidence" for rank in ranks]].tolist() == [0.4, 0.4, 0.2][:top_k]
    assert table.loc[2, "top_1_name"] == table.loc[2, "prediction_name"] == "a"
    assert table["prediction"].dropna().tolist() == [2, 0]


def test_a_file_that_could_not_be_read_has_a_reason_and_nothing_else() -> None:
    table = prediction_table(["x", "y", "z"], PROBABILITIES, {1: "broken"}, ["a", "b", "c"], 2)
    assert table["error"].isna().tolist() == [True, False, True] and table.loc[1, "error"] == "broken"
    assert table.loc[1].drop(["file", "error"]).isna().all() and readable_rows(table, 1)["file"].tolist() == ["x"]
    assert readable_rows(table, 9)["file"].tolist() == ["x", "z"]
