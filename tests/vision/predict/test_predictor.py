from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from s10_pipeline.vision.errors import UserError
from s10_pipeline.vision.explain.gradcam import compute_cams
from s10_pipeline.vision.predict.params import PredictParams
from s10_pipeline.vision.predict.predictor import plot_predictions_gallery, predict_images
from s10_pipeline.vision.predict.table import readable_rows

NAMES = ("a", "b", "$c$")


@pytest.mark.parametrize("batch_size", [3, 64])
def test_equals_a_forward_pass_on_the_pixels(make_model, tmp_path: Path, batch_size: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), dtype=np.uint8)
    for i, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / f"{i}.png")
    model = make_model().train()
    table, gallery = predict_images(model, PredictParams(path=str(tmp_path), batch_size=batch_size), device="cpu")
    with torch.no_grad():
        logits_bk = make_model().eval()(torch.from_numpy(images).permute(0, 3, 1, 2))
    expected = torch.softmax(logits_bk, dim=1).numpy()
    np.testing.assert_allclose(table[[f"p_{name}" for name in NAMES]].to_numpy(), expected, atol=1e-6)
    assert table["prediction"].tolist() == expected.argmax(1).tolist()
    assert table["prediction_name"].tolist() == [NAMES[k] for k in expected.argmax(1)]
    np.testing.assert_allclose(table["confidence"], expected.max(1), atol=1e-6)
    assert table["error"].isna().all() and table["file"].tolist() == [f"{i}.png" for i in range(8)]
    np.testing.assert_array_equal(gallery, images)


def test_the_gallery_shows_the_first_readable_files(make_model, tmp_path: Path, caplog) -> None:
    (tmp_path / "sub folder").mkdir()
    for number, name in enumerate(("sub folder/wide.jpg", "a.png", "b.bmp", "z.png")):
        Image.new("RGB", (50 + number, 40), "red").save(tmp_path / name)
    (tmp_path / "cut.png").write_bytes((tmp_path / "a.png").read_bytes()[:60])
    params = PredictParams(path=str(tmp_path), batch_size=4, num_gallery_images=3)
    table, gallery = predict_images(make_model(), params, device="cpu")
    assert table["file"].tolist() == ["a.png", "b.bmp", "cut.png", "sub folder/wide.jpg", "z.png"]
    assert table["prediction"].isna().tolist() == [False, False, True, False, False]
    assert "1 of 5 files" in caplog.text and gallery.shape == (3, 32, 32, 3)
    classes = readable_rows(table, len(gallery))["prediction"].to_numpy(int)
    cams = compute_cams(make_model(), gallery, classes, method="gradcam", layer="layer3", device="cpu")
    texts = [text.get_text() for text in plot_predictions_gallery(gallery, table, cams, title="mine").axes[0].texts]
    assert "mine" in texts and "sub folder/wide.jpg" in texts and "z.png" not in texts


@pytest.mark.parametrize("single", [False, True])
def test_nothing_readable_is_an_error(make_model, tmp_path: Path, single: bool) -> None:
    for i in range(9):
        (tmp_path / f"{i}.jpg").touch()
    path = tmp_path / "0.jpg" if single else tmp_path
    with pytest.raises(UserError, match=rf"^predict.path={path}: no image could be read \(0.jpg: ") as error:
        predict_images(make_model(), PredictParams(path=str(path)), device="cpu")
    assert "\n" not in str(error.value) and ("6 more" in str(error.value)) != single
