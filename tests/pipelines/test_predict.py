import numpy as np
import pandas as pd
import pytest
from kedro.config import OmegaConfigLoader

from s10_pipeline.configuration import CONFIG_LOADER_ARGS
from s10_pipeline.datasets.kedro_types import CSVDataset
from s10_pipeline.pipelines.predict.nodes import predict_images
from s10_pipeline.vision.errors import UserError
from s10_pipeline.vision.explain.params import ExplainParams
from s10_pipeline.vision.predict.params import PredictParams
from s10_pipeline.vision.predict.table import prediction_table


def test_a_layer_that_the_model_lacks_is_told_before_any_file_is_read(classifier, tmp_path):
    params = PredictParams(path=str(tmp_path / "missing"))
    with pytest.raises(UserError, match="^explain.layer=layer4: .*depth 8 .*layer1, layer2, layer3"):
        predict_images(classifier, params, ExplainParams(layer="layer1+layer4"), "cpu")


@pytest.mark.parametrize("classes", [("1", "null", "True"), ("0", "01", "1.5"), tuple(f"{k:03}" for k in range(7))])
def test_names_that_look_like_something_else_come_back_as_names(root, tmp_path, classes):
    """Digits are classes of many data sets, and a file may be called 007."""
    entry = OmegaConfigLoader(str(root / "conf"), env="base", **CONFIG_LOADER_ARGS)["catalog"]["predictions"]
    dataset = CSVDataset(
        filepath=str(tmp_path / "predictions.csv"), load_args=entry["load_args"], save_args=entry["save_args"]
    )
    table = prediction_table(["007", "08", "1.0"], np.eye(3, len(classes)), {1: "404"}, classes, top_k=7)
    dataset.save(table)
    loaded = dataset.load()
    assert loaded.columns.tolist() == table.columns.tolist()
    for column in ("file", "prediction_name", "error", *(f"top_{k}_name" for k in range(1, len(classes) + 1))):
        assert loaded[column].dropna().tolist() == table[column].dropna().tolist(), column
    assert loaded["prediction"].tolist() == [0, pd.NA, 2]
