"""A folder of everything that people have: each file becomes the picture it shows, or a reason."""

import io
import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image, features

from s10_pipeline.vision.predict.params import PredictParams
from s10_pipeline.vision.predict.predictor import predict_images

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="such names, links and pipes are not made there")

SIZE = 48

# all show the same: white on the left, black on the right
HALVES = np.repeat(np.repeat([[255, 0]], SIZE // 2, axis=1), SIZE, axis=0).astype(np.uint8)
GREY = Image.fromarray(HALVES)
RGB = GREY.convert("RGB")
MIRRORED = RGB.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


def transparent_left(mode: str) -> Image.Image:
    image = Image.new("RGBA", (SIZE, SIZE), (0, 0, 0, 255))
    image.paste((0, 0, 0, 0), (0, 0, SIZE // 2, SIZE))
    return image.convert(mode)


def palette(first: int = 255) -> Image.Image:
    image = Image.fromarray((HALVES == 0).astype(np.uint8), "P")
    image.putpalette([first] * 3 + [0] * 3)
    return image


def write_pictures(folder: Path) -> None:
    for kind in ["png", "jpg", "JPG", "bmp", "dib", "tiff", "ppm", "tga", "pcx", "sgi", "ico", "dds", "qoi", "icns"]:
        RGB.save(folder / f"a {kind}.{kind}")
    RGB.save(folder / "progressive.jpg", progressive=True)
    RGB.save(folder / "lossless.webp", lossless=True)
    frames = {"save_all": True, "append_images": [MIRRORED, MIRRORED], "duration": 50}
    for name in ("animated.gif", "animated.webp", "animated.png"):
        RGB.save(folder / name, **frames)
    RGB.copy().save(folder / "pages.tif", save_all=True, append_images=[MIRRORED])
    RGB.save(folder / "stereo.mpo", save_all=True, append_images=[MIRRORED])
    for feature, name in (("jpg_2000", "a.jp2"), ("avif", "a.avif")):
        if features.check(feature):
            RGB.save(folder / name)
    GREY.save(folder / "grey.png")
    for name in ("bilevel.png", "a.pbm", "a.msp"):
        GREY.convert("1").save(folder / name)
    GREY.convert("1").save(folder / "fax.tif", compression="group4")
    for kind in ("gif", "png"):
        palette().save(folder / f"palette.{kind}")
    for name, transparency in (("palette transparent", 0), ("palette half transparent", bytes([0, 255]))):
        palette(0).save(folder / f"{name}.png", transparency=transparency)
    for mode, kind in (("RGBA", "png"), ("LA", "png"), ("RGBA", "webp"), ("RGBA", "tif")):
        transparent_left(mode).save(folder / f"{mode}.{kind}", lossless=True)
    opaque = Image.fromarray(np.where(HALVES[:, :, None] > 0, np.uint8([1, 2, 3]), np.uint8(0)))
    opaque.save(folder / "a transparent colour.png", transparency=(1, 2, 3))
    for mode, kind in (("CMYK", "jpg"), ("CMYK", "tif"), ("YCbCr", "tif")):
        RGB.convert(mode).save(folder / f"{mode}.{kind}")
    for orientation, turn in ((3, Image.Transpose.ROTATE_180), (6, Image.Transpose.ROTATE_90)):
        RGB.transpose(turn).save(folder / f"turned {orientation}.jpg", exif=exif(orientation))
    for kind in ("png", "tif"):
        RGB.transpose(Image.Transpose.ROTATE_90).save(folder / f"turned.{kind}", exif=exif(6))
    RGB.resize((SIZE, 9)).crop((0, 0, SIZE, 9)).resize((SIZE * 3, SIZE * 3)).save(folder / "large.jpg")
    RGB.save(folder / "a picture without an extension", "PNG")
    RGB.save(folder / "misnamed.jpg", "PNG")
    RGB.save(folder / "a.jpg.download", "JPEG")
    RGB.save(folder / "Füße 猫 😀.png")
    RGB.save(folder / "two\nlines.png")
    deep = folder / "a" / "folder.png" / "of a folder"
    deep.mkdir(parents=True)
    RGB.save(deep / "=1+1.png")
    (folder / "link.png").symlink_to(folder / "a png.png")
    if sys.platform == "linux":  # others take only names in Unicode
        with (folder / os.fsdecode(b"caf\xe9.png")).open("wb") as stream:
            RGB.save(stream, "PNG")


def encoded(kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).save(stream, kind)
    return stream.getvalue()


# name -> (what makes it, a word of the reason)
FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "cut.png": (lambda p: p.write_bytes(encoded()[:3000]), "truncated"),
    "cut.jpg": (lambda p: p.write_bytes(encoded("JPEG")[:1500]), "truncated"),
    "cut.webp": (lambda p: p.write_bytes(encoded("WEBP")[:1500]), "not a"),
    "cut.tif": (lambda p: p.write_bytes(encoded("TIFF")[:100]), "not a"),
    "cut.gif": (lambda p: p.write_bytes(encoded("GIF")[:900]), "truncated"),
    "damaged.png": (lambda p: p.write_bytes(encoded().replace(b"IDAT", b"IDAX")), "not a"),
    "empty.png": (lambda p: p.write_bytes(b""), "empty"),
    "text.jpg": (lambda p: p.write_text("no image"), "not an image"),
    "zeros.bmp": (lambda p: p.write_bytes(bytes(1000)), "not an image"),
    "phone.heic": (lambda p: p.write_bytes(b"\0\0\0\x18ftypheic"), "not an image"),
    "drawing.svg": (lambda p: p.write_text("<svg/>"), "not an image"),
    "print.eps": (lambda p: p.write_bytes(encoded("EPS")), "not an image"),
    # what cameras write: a TIFF file that opens as its thumbnail
    "camera.dng": (lambda p: RGB.save(p, "TIFF"), "camera raw"),
    "camera.NEF": (lambda p: RGB.save(p, "TIFF"), "camera raw"),
    "loop.png": (lambda p: p.symlink_to(p), "cannot be read"),
    "nowhere.png": (lambda p: p.symlink_to(p.with_name("gone")), "cannot be read (No such file"),
    "pipe.png": (lambda p: os.mkfifo(p), "pipe"),
    "zero.png": (lambda p: p.symlink_to("/dev/zero"), "device"),
    "secret.png": (RGB.save, "cannot be read (Permission denied)"),
    "locked": (Path.mkdir, "cannot be listed"),
}

# no pictures by name or content, or hidden: no rows
IGNORED = ("readme.txt", "table.csv", "Makefile", "film.mp4", "paper.pdf", ".hidden.png")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    # as root nothing is forbidden
    scandir, open_path = os.scandir, Path.open

    def refuse(path: Path | str, name: str) -> None:
        if Path(path).name == name:
            raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", lambda path: refuse(path, "locked") or scandir(path))
    write_pictures(tmp_path)
    for name, (make, _) in FAULTS.items():
        make(tmp_path / name)
    for name in IGNORED:
        (tmp_path / name).write_text("nothing to see")
    (tmp_path / "circle").symlink_to(tmp_path, target_is_directory=True)
    monkeypatch.setattr(Path, "open", lambda self, *a, **k: refuse(self, "secret.png") or open_path(self, *a, **k))
    return tmp_path


def test_each_file_is_a_row_with_its_picture_or_a_reason(folder, classifier, caplog) -> None:
    params = PredictParams(path=str(folder), batch_size=8, num_gallery_images=1000)
    with caplog.at_level("INFO"):
        table, gallery_nhwc = predict_images(classifier, params, device="cpu")
    assert len(table) > 65 and table["file"].is_unique
    reasons = table[table["error"].notna()].set_index("file")["error"]
    for name, (_, word) in FAULTS.items():
        assert word in reasons[name], (name, reasons[name])
        assert "\n" not in reasons[name] and str(folder) not in reasons[name]
    assert set(reasons.index) == set(FAULTS)
    names = table.loc[table["error"].isna(), "file"].tolist()
    assert {"a/folder.png/of a folder/=1+1.png", "two\nlines.png", "Füße 猫 😀.png"} <= {*names}
    assert ("caf\\udce9.png" in names) == (sys.platform == "linux")
    for name, image_hwc in zip(names, gallery_nhwc, strict=True):
        left, right = image_hwc[4:-4, 3:13].astype(int), image_hwc[4:-4, 19:29].astype(int)
        assert left.min() >= 225 and right.max() <= 30, (name, left.min(), right.max())
    assert not set(IGNORED) & set(names) and f"ignored {len(IGNORED)} files" in caplog.text
    table.to_csv(folder / "predictions.csv", index=False)
    again = pd.read_csv(folder / "predictions.csv", keep_default_na=False, na_values=[""])
    assert again["file"].tolist() == table["file"].tolist()
    assert again["error"].dropna().tolist() == table["error"].dropna().tolist()
