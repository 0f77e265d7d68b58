"""The public surface gives what the pipeline gives, for every kind of image."""

import io

import numpy as np
import pytest
from PIL import Image

from s10_pipeline.api import load_classifier, predict
from s10_pipeline.vision.errors import UserError
from s10_pipeline.vision.network.classifier import classifier_to_bytes
from s10_pipeline.vision.predict.params import PredictParams
from s10_pipeline.vision.predict.predictor import predict_images


@pytest.fixture
def files(data, tmp_path):
    """70 images, more than one batch, turned by their EXIF data and not of the model's size."""
    turned = Image.Exif()
    turned[0x0112] = 6
    paths = [tmp_path / f"{i:02d}.png" for i in range(70)]
    for path, pixels in zip(paths, data.test_images.images_nhwc, strict=False):
        Image.fromarray(np.array(pixels)).resize((50, 40)).save(path, exif=turned)
    return paths


@pytest.fixture
def model(classifier, tmp_path):
    (tmp_path / "model.safetensors").write_bytes(classifier_to_bytes(classifier))
    return load_classifier(str(tmp_path / "model.safetensors"))


@pytest.mark.parametrize("kind", ["text", "path", "Pillow image"])
def test_the_same_as_the_predict_pipeline(model, files, kind):
    table, _ = predict_images(model, PredictParams(path=str(files[0].parent)), device="cpu")
    readable = table[table["error"].isna()]
    images = {"text": map(str, files), "path": files, "Pillow image": map(Image.open, files)}[kind]
    names, probabilities_nk = predict(model, images, device="cpu")
    assert names == readable["prediction_name"].tolist()
    columns = [f"p_{name}" for name in model.class_names]
    np.testing.assert_array_equal(probabilities_nk, readable[columns].to_numpy())


def test_arrays_are_images_in_rgb(model, data):
    images_nhwc = np.array(data.test_images.images_nhwc[:5])
    names, probabilities_nk = predict(model, images_nhwc, device="cpu")
    again, alone_nk = predict(model, [images_nhwc[2]], device="cpu")
    assert again == names[2:3]
    np.testing.assert_allclose(alone_nk, probabilities_nk[2:3], atol=1e-6)
    np.testing.assert_allclose(probabilities_nk.sum(1), 1)
    assert predict(model, []).probabilities_nk.shape == (0, len(model.class_names))


@pytest.mark.parametrize(
    "array",
    [np.zeros((8, 8, 3)), *(np.zeros(shape, np.uint8) for shape in [(8, 8, 4), (2, 8), (0, 5, 3), (5, 0, 3)])],
)
def test_other_arrays_are_refused(model, array):
    with pytest.raises(UserError, match="uint8"):
        predict(model, [array])


def test_what_cannot_be_read_is_named(model, files, tmp_path):
    cut = Image.open(io.BytesIO(files[0].read_bytes()[:600]))
    images = {"gone.png": tmp_path / "gone.png", "~nobody": "~nobody/a.png", "RGB image of 50 x 40 pixels": cut}
    for name, image in {**images, "RGB image of 0 x 5 pixels": Image.new("RGB", (0, 5))}.items():
        with pytest.raises(UserError, match=f"^images: .*{name}"):
            predict(model, [image])
    with pytest.raises(UserError, match="gone.safetensors"):
        load_classifier(tmp_path / "gone.safetensors")
