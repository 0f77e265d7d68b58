import numpy as np
import pandas as pd
import pytest
import torch
from kedro.config import OmegaConfigLoader
from PIL import Image

from s10_pipeline.configuration import CONFIG_LOADER_ARGS
from s10_pipeline.datasets.kedro_types import CSVDataset
from s10_pipeline.pipelines.predict.nodes import predict_images
from s10_pipeline.vision.errors import UserError
from s10_pipeline.vision.evaluation.metrics import evaluate_classifier
from s10_pipeline.vision.evaluation.params import EvaluateParams
from s10_pipeline.vision.explain.params import ExplainParams
from s10_pipeline.vision.predict.params import PredictParams
from s10_pipeline.vision.predict.table import prediction_table


def predict(classifier, path):
    return predict_images(classifier, PredictParams(path=str(path)), ExplainParams(), "cpu")


def test_a_test_image_gets_the_row_that_it_has_in_test_predictions(classifier, data, tmp_path):
    for i in range(30):
        Image.fromarray(np.array(data.test_images.images_nhwc[i])).save(tmp_path / f"{i:03d}.png")
    predictions, gallery = predict(classifier, tmp_path)
    _, table = evaluate_classifier(classifier, data.test_images, data.test_set, EvaluateParams(), torch.device("cpu"))
    assert predictions["file"].tolist() == [f"{i:03d}.png" for i in range(30)]
    assert predictions["prediction"].tolist() == table["prediction"].tolist()[:30]
    probabilities = [column for column in table if column.startswith("p_")]
    np.testing.assert_allclose(predictions[probabilities], table[probabilities][:30], atol=1e-6)
    assert gallery.get_size_inches().min() > 1


def test_unreadable_files_are_rows_with_a_reason(classifier, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"not an image")
    Image.new("RGB", (100, 50), "red").save(tmp_path / "good.jpg")
    predictions, _ = predict(classifier, tmp_path)
    reasons = dict(zip(predictions["file"], predictions["error"].isna(), strict=True))
    assert reasons == {"broken.png": False, "good.jpg": True}


def test_a_layer_that_the_model_lacks_is_told_before_any_file_is_read(classifier, tmp_path):
    params = PredictParams(path=str(tmp_path / "missing"))
    with pytest.raises(UserError, match="^explain.layer=layer4: .*depth 8 .*layer1, layer2, layer3"):
        predict_images(classifier, params, ExplainParams(layer="layer1+layer4"), "cpu")


@pytest.mark.parametrize("classes", [("1", "null", "True"), ("0", "01", "1.5")])
def test_names_that_look_like_something_else_come_back_as_names(root, tmp_path, classes):
    """Digits are classes of many data sets, and a file may be called 007."""
    entry = OmegaConfigLoader(str(root / "conf"), env="base", **CONFIG_LOADER_ARGS)["catalog"]["predictions"]
    dataset = CSVDataset(
        filepath=str(tmp_path / "predictions.csv"), load_args=entry["load_args"], save_args=entry["save_args"]
    )
    table = prediction_table(["007", "08", "1.0"], np.eye(3), {1: "404"}, classes, top_k=3)
    dataset.save(table)
    loaded = dataset.load()
    for column in ("file", "prediction_name", "error", "top_1_name", "top_2_name", "top_3_name"):
        assert loaded[column].dropna().tolist() == table[column].dropna().tolist(), column
    assert loaded["prediction"].tolist() == [0, pd.NA, 2]


@pytest.mark.parametrize("what", ["missing", "empty", "null"])
def test_a_path_without_images_is_an_error(classifier, tmp_path, what):
    (tmp_path / "empty").mkdir()
    path = None if what == "null" else str(tmp_path / what)
    with pytest.raises(UserError, match=f"predict.path={'null' if what == 'null' else path}: "):
        predict_images(classifier, PredictParams(path=path), ExplainParams(), "cpu")
