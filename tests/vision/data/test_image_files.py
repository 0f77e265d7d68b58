"""Which files are taken for images, and what Pillow may do with them."""

import os
import warnings
from pathlib import Path

import pytest
from PIL import Image

from s10_pipeline.vision.data.image_files import (
    CAMERA_RAW_EXTENSIONS,
    FOREIGN_EXTENSIONS,
    IMAGE_FORMATS,
    image_extensions,
    large_images_allowed,
    printable,
    walk_images,
)
from s10_pipeline.vision.errors import UserError


def touch(root: Path, *names: str) -> list[Path]:
    files = [root / name for name in names]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"")
    return files


def test_the_usual_formats_and_none_that_runs_a_program_or_lets_another_format_in():
    assert {"BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP"} <= set(IMAGE_FORMATS)
    assert not {"EPS", "WMF", "IPTC", "BUFR", "GRIB", "HDF5", "MPEG"} & set(IMAGE_FORMATS)
    assert IMAGE_FORMATS.index("PNG") < IMAGE_FORMATS.index("AVIF")  # the common ones are tried first


def test_extensions_are_those_of_the_formats():
    extensions = image_extensions()
    assert {".png", ".jpg", ".jpeg", ".webp", ".tif", ".mpo"} <= extensions
    assert not {".eps", ".ps", ".wmf", ".iim", ".pdf", ".heic"} & extensions
    kinds = Image.registered_extensions()
    assert {kinds[e] for e in extensions} <= {*IMAGE_FORMATS, "MPO"}
    assert {".heic", ".jxl", ".svg", ".eps", ".dng", ".cr2"} <= FOREIGN_EXTENSIONS
    assert CAMERA_RAW_EXTENSIONS < FOREIGN_EXTENSIONS and not FOREIGN_EXTENSIONS & extensions


def test_walks_all_folders_but_hidden_ones(tmp_path):
    images = touch(tmp_path, "a/z.png", "a.jpg", "b/c/d.WEBP", "b/e.JPeG")
    foreign = touch(tmp_path, "b/f.HEIC", "b/c/g.jxl")
    touch(tmp_path, "b/readme.txt", "b/._e.jpg", ".hidden/x.png", "b/.thumbnails/deep/x.png", "b/.x.heic")
    (tmp_path / "b" / "loop").symlink_to(tmp_path)
    found = walk_images(tmp_path, "x.path=y")
    assert found.images == sorted(images)
    # the folder itself may be hidden or a link
    assert walk_images(tmp_path / ".hidden", "x.path=y").images == [tmp_path / ".hidden/x.png"]
    assert walk_images(tmp_path / "b/loop/a", "x.path=y").images == [tmp_path / "b/loop/a/z.png"]
    assert found.foreign == sorted(foreign)
    assert [file.name for file in found.others] == ["._e.jpg", ".x.heic", "readme.txt"]
    assert not found.unlistable


def test_a_folder_that_cannot_be_listed_is_an_error(tmp_path, monkeypatch):
    touch(tmp_path, "a/1.png")
    scandir = os.scandir

    def refuse_a(path):
        if str(path).endswith("a"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse_a)
    with pytest.raises(UserError, match=r"^x.path=y: cannot list .*a \(Permission denied\); make it readable"):
        walk_images(tmp_path, "x.path=y")
    assert walk_images(tmp_path, "x.path=y", skip_unlistable=True).unlistable == [tmp_path / "a"]
    with pytest.raises(UserError, match="cannot list"):
        walk_images(tmp_path / "a", "x.path=y", skip_unlistable=True)


def test_names_that_are_no_unicode_are_escaped_and_others_kept():
    assert printable(os.fsdecode(b"caf\xe9.png")) == "caf\\udce9.png"
    assert printable("café \\ 猫.png") == "café \\ 猫.png"


def test_large_images_are_allowed_without_a_warning(tmp_path, monkeypatch):
    Image.new("L", (40, 40)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with large_images_allowed():
            Image.open(tmp_path / "a.png").close()
        assert not caught
        Image.open(tmp_path / "a.png").close()
        assert len(caught) == 1  # Pillow does warn, and the filters are as they were
