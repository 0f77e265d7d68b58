import json
import re

import pandas as pd
import pytest
from kedro.io import DataCatalog

from s10_pipeline.commands.compare import _made_with, _mcnemar, _metrics, _read, _table, _verdicts
from s10_pipeline.identity.digests import hash_file
from s10_pipeline.staleness.records import Record
from s10_pipeline.vision.errors import UserError
from s10_pipeline.vision.evaluation.verdict import Verdict


def side(digest, predictions):
    table = pd.DataFrame({"index": range(len(predictions)), "label": 0, "prediction": predictions})
    return {"provenance": {"data": {"test": {"digest": digest}}}, "test_predictions": table, "metrics": {}}


def test_the_two_are_tested_on_the_images_that_they_disagree_on():
    a, b = side("x", [0, 0, 0, 1, 1]), side("x", [0, 0, 1, 0, 1])
    b["test_predictions"] = b["test_predictions"].sample(frac=1, random_state=0)  # they meet by index
    a["test_predictions"].loc[0, "prediction"] = 1
    test, told = _mcnemar(a, b).splitlines()
    numbers = re.findall(r"\d+", test.partition("on ")[2])
    assert numbers == ["5", "1", "2", "1"], "images, right by A alone, by B alone, p"
    assert "+20.00 points" in told and "cannot be told from 5 images" in told and "group" not in told
    a["metrics"]["num_test_groups"] = 2
    assert "count images of one group as independent" in _mcnemar(a, b)


@pytest.mark.parametrize("digest", [None, "y"])
def test_models_that_saw_different_images_are_not_tested(digest):
    assert "p =" not in _mcnemar(side(digest, [0]), side(digest and "x", [0]))


def test_what_differs_is_shown_on_both_sides(capsys):
    made = [{"lr": 0.1, "same": 1, "only": [1], "checkpoints": "k1"}, {"lr": "a" * 99, "same": 1, "checkpoints": "k2"}]
    _table("differs", *(_made_with({"provenance": provenance}) for provenance in made))
    shown = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert shown == [["differs", "A", "B"], ["lr", "0.1", '"' + "a" * 36 + "..."], ["only", "[1]", "-"], []]
    long = [json.dumps([{"PaddedRandomCrop": {"padding": 0.125}}, {"Cutout": {"size": size}}]) for size in (0.5, 0.25)]
    _table("differs", *({"train": text} for text in long))
    row = capsys.readouterr().out.splitlines()[1]
    assert "0.5" in row and "0.25" in row
    _table("differs", {"a": "1"}, {"a": "1"})
    assert "nothing" in capsys.readouterr().out


def test_metrics_are_numbers_and_verdicts_stand_in_order():
    assert _metrics({"metrics": {"acc": 0.123456, "n": 1, "ece": None, "ci": [0.5, 1]}}) == {"acc": "0.12346", "n": "1"}
    judged = [
        Verdict("calibration", "unknown", 9, "", 1.1, 0.9, 1.3).as_dict(),
        Verdict("baseline", "not_found", 9, "", 0.1).as_dict(),
    ]
    assert list(_verdicts({"verdicts": judged}).values()) == ["not found 0.1", "unknown 1.1 0.9 1.3"]
    assert _verdicts({"verdicts": []}) == {}


@pytest.mark.parametrize("recorded", [True, False])
def test_a_model_never_gets_the_metrics_of_another(tmp_path, recorded):
    kind, names = "s10_pipeline.datasets.kedro_types.JSONDataset", ["model", "provenance", "metrics"]
    names += ["test_predictions", "verdicts"]
    config = {n: {"type": kind, "filepath": f"{tmp_path}/{n}", "versioned": True} for n in names}
    config["records"] = {"type": "s10_pipeline.staleness.records.RecordsDataset", "filepath": f"{tmp_path}/.records"}
    for version in ("1", "2"):
        catalog = DataCatalog.from_config(config, save_version=version)
        for name in names:
            catalog.save(name, [name, version])
    digest = hash_file(str(tmp_path / "model/1/model"))
    for name in ("metrics", "test_predictions") if recorded else ():  # run 2 evaluated model 1
        record = Record(name, "2", {"inputs": {"model": digest}}, {}, {name: {"version": "2", "digest": None}})
        catalog.load("records").add(record)
    assert _read("1", catalog, "base")["metrics"] == ["metrics", "2" if recorded else "1"]
    if recorded:
        with pytest.raises(UserError, match="metrics: not stored for model version 2; evaluate this model"):
            _read("2", catalog, "base")
    else:
        assert _read("2", catalog, "base")["metrics"] == ["metrics", "2"]
