import re

import pandas as pd
import pytest

from s10_pipeline.commands.compare import _differences, _mcnemar, _metric_rows, _table, _verdict_rows
from s10_pipeline.vision.evaluation.verdict import Verdict


def side(digest, predictions):
    table = pd.DataFrame({"index": range(len(predictions)), "label": 0, "prediction": predictions})
    return {"provenance": {"data": {"test": {"digest": digest}}}, "test_predictions": table}


def test_the_two_are_tested_on_the_images_that_they_disagree_on():
    a, b = side("x", [0, 0, 0, 1, 1]), side("x", [0, 0, 1, 0, 1])
    b["test_predictions"] = b["test_predictions"].sample(frac=1, random_state=0)  # they meet by index
    a["test_predictions"].loc[0, "prediction"] = 1
    test, told = _mcnemar(a, b).splitlines()
    numbers = re.findall(r"\d+", test.partition("on ")[2])
    assert numbers == ["5", "1", "2", "1"], "images, right by A alone, by B alone, p"
    assert "+20.00 points" in told and "cannot be told from 5 images" in told


@pytest.mark.parametrize("digest", [None, "y"])
def test_models_that_saw_different_images_are_not_tested(digest):
    assert "p =" not in _mcnemar(side(digest, [0]), side(digest and "x", [0]))


def test_what_differs_is_shown_on_both_sides():
    a, b = {"lr": 0.1, "same": 1, "only": [1], "checkpoints": "k1"}, {"lr": 0.2, "same": 1, "checkpoints": "k2"}
    assert _differences(a, b) == [("lr", "0.1", "0.2"), ("only", "[1]", "-")]
    ((_, shown, _),) = _differences({"x": "a" * 99}, {"x": 1})
    assert len(shown) == 40


def test_metrics_of_both_are_compared_where_both_are_numbers(capsys):
    rows = _metric_rows({"acc": 0.123456, "ece": None, "ci": [0.5, 1]}, {"acc": 1, "ece": 0.5, "ci": [0.25, 1]})
    assert rows[0] == ("acc", "0.12346", "1")
    assert all(name.startswith(("acc", "ci")) for name, _, _ in rows)
    _table("metric", [("accuracy", "0.5", "")])
    assert capsys.readouterr().out == "metric    A    B\naccuracy  0.5\n"


def test_verdicts_of_both_are_shown_in_order_and_none_of_a_model_without():
    judged = [
        Verdict("calibration", "unknown", 9, "", 1.1, 0.9, 1.3).as_dict(),
        Verdict("baseline", "not_found", 9, "", 0.1).as_dict(),
    ]
    rows = _verdict_rows(judged, [])
    assert [(a, b) for _, a, b in rows] == [("not found 0.1", "-"), ("unknown 1.1 0.9 1.3", "-")]
