"""Prediction from files equals a forward pass on the pixels, and survives whatever lies in a folder."""

import logging
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from s10_pipeline.vision.errors import UserError
from s10_pipeline.vision.explain.gradcam import compute_cams
from s10_pipeline.vision.network.classifier import Classifier, ClassifierSpec
from s10_pipeline.vision.predict.params import PredictParams
from s10_pipeline.vision.predict.predictor import plot_predictions_gallery, predict_images
from s10_pipeline.vision.predict.table import readable_rows

NAMES = ("a", "b", "$c$")


def make_model() -> Classifier:
    torch.manual_seed(0)
    spec = ClassifierSpec(
        architecture={"depth": 8, "width": 4, "stem": "cifar", "dropout": 0.5},
        class_names=NAMES,
        mean=(120.0, 121.0, 122.0),
        std=(60.0, 61.0, 62.0),
        resize={"image_size": [32, 32]},
    )
    return Classifier(spec)


@pytest.mark.parametrize("batch_size", [3, 64])
def test_equals_a_forward_pass_on_the_pixels(tmp_path: Path, batch_size: int) -> None:
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


def odd_files(folder: Path) -> int:
    """Writes what people have in folders; gives the number of those that hold an image."""
    rng = np.random.default_rng(0)
    rgb = Image.fromarray(rng.integers(0, 256, (50, 40, 3), dtype=np.uint8))
    (folder / "sub folder").mkdir()
    rgb.save(folder / "sub folder/wide.jpg", quality=90)
    rgb.convert("CMYK").save(folder / "cmyk.jpg")
    rgb.convert("L").save(folder / "grey.png")
    rgb.convert("P").save(folder / "palette.gif")
    rgb.convert("RGBA").save(folder / "alpha.webp")
    rgb.convert("1").save(folder / "bits.tiff")
    Image.fromarray(rng.integers(0, 65536, (30, 30), dtype=np.uint16)).save(folder / "16 bit.png")
    rgb.resize((1, 1)).save(folder / "dot.png")
    rgb.resize((300, 2)).save(folder / "strip.bmp")
    exif = Image.Exif()
    exif[0x0112] = 6
    rgb.save(folder / "turned.jpg", exif=exif)
    num_readable = 10
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.jpg").write_text("no image")
    (folder / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic")
    (folder / "cut.png").write_bytes((folder / "grey.png").read_bytes()[:200])
    return num_readable


def test_odd_files_become_rows(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    num_readable = odd_files(tmp_path)
    with caplog.at_level(logging.WARNING):
        table, gallery = predict_images(
            make_model(), PredictParams(path=str(tmp_path), batch_size=4, num_gallery_images=7), device="cpu"
        )
    failed = table[table["error"].notna()].set_index("file")
    assert sorted(failed.index) == ["cut.png", "empty.png", "phone.heic", "text.jpg"]
    assert failed[["prediction", "prediction_name", "confidence", "p_a"]].isna().all(axis=None)
    assert len(table) - len(failed) == num_readable
    assert table["file"].is_monotonic_increasing or sorted(table["file"]) == sorted(table["file"].tolist())
    assert "sub folder/wide.jpg" in table["file"].tolist()
    assert "4 of 14 files" in caplog.text
    good = table[table["error"].isna()]
    np.testing.assert_allclose(good[[f"p_{name}" for name in NAMES]].sum(axis=1), 1, atol=1e-6)
    assert list(table.columns) == [
        "file",
        "prediction",
        "prediction_name",
        "confidence",
        "error",
        "top_1_name",
        "top_1_confidence",
        "top_2_name",
        "top_2_confidence",
        "top_3_name",
        "top_3_confidence",
        "p_a",
        "p_b",
        "p_$c$",
    ]

    rows = readable_rows(table, len(gallery))
    assert gallery.shape == (7, 32, 32, 3) and len(rows) == 7
    cams = compute_cams(
        make_model(), gallery, rows["prediction"].to_numpy(int), method="gradcam", layer="layer3", device="cpu"
    )
    texts = [text.get_text() for text in plot_predictions_gallery(gallery, table, cams, title="mine").texts]
    assert "mine" in texts and "turned.jpg" not in texts and "16 bit.png" in texts


def test_one_file(tmp_path: Path) -> None:
    Image.new("RGB", (40, 40), "red").save(tmp_path / "red.png")
    table, gallery = predict_images(make_model(), PredictParams(path=str(tmp_path / "red.png")), device="cpu")
    assert table["file"].tolist() == ["red.png"] and (gallery == (255, 0, 0)).all()


NOTHING_READABLE: list[dict[str, Callable[[Path], object]]] = [
    {"a.png": lambda path: path.write_text("no image")},
    {"a.png": lambda path: path.write_bytes(b""), "b.jpg": lambda path: path.write_text("no image")},
    {"a.png": os.mkfifo},
    {"a.png": lambda path: path.symlink_to("/dev/zero"), "b.heic": Path.touch},
    {f"{i}.jpg": Path.touch for i in range(9)},
]


@pytest.mark.parametrize("files", NOTHING_READABLE)
@pytest.mark.parametrize("single", [False, True])
def test_nothing_readable_is_an_error(tmp_path: Path, files: dict[str, Callable[[Path], object]], single: bool) -> None:
    for name, make in files.items():
        make(tmp_path / name)
    path = tmp_path / next(iter(files)) if single else tmp_path
    with pytest.raises(
        UserError, match=rf"^predict.path={path}: no image could be read \({next(iter(files))}: "
    ) as error:
        predict_images(make_model(), PredictParams(path=str(path)), device="cpu")
    assert "\n" not in str(error.value) and str(error.value).endswith("; give images in a format that Pillow opens")
    assert ("6 more" in str(error.value)) == (len(files) == 9 and not single)


@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize("content", [None, b"no image"])
def test_a_file_name_that_is_no_unicode_is_escaped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, single: bool, content: bytes | None
) -> None:
    file = tmp_path / os.fsdecode(b"\xff.png")
    try:
        file.touch()
    except OSError:
        pytest.skip("this file system takes only UTF-8 names")
    if content is None:
        with file.open("wb") as stream:
            Image.new("RGB", (40, 40), "red").save(stream, "PNG")
    else:
        file.write_bytes(content)
    params = PredictParams(path=str(file if single else tmp_path))
    if content is not None and single:
        with pytest.raises(UserError, match=r"udcff\.png: "):
            predict_images(make_model(), params, device="cpu")
        return
    Image.new("RGB", (40, 40), "red").save(tmp_path / "other.png")
    with caplog.at_level(logging.WARNING):
        table, gallery = predict_images(make_model(), params, device="cpu")
    assert "\\udcff.png" in table["file"].tolist()
    assert table["error"].notna().any() == bool(content)
    table.to_csv(tmp_path / "table.csv")
    caplog.text.encode()
    plot_predictions_gallery(gallery, table, np.zeros((len(gallery), 32, 32), np.float32), title="x")


def test_no_path() -> None:
    with pytest.raises(UserError, match=r"^predict\.path=null: "):
        predict_images(make_model(), PredictParams(), device="cpu")
