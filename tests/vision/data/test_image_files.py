import os
from pathlib import Path
from unittest.mock import Mock

import pytest

from s10_pipeline.vision.data.image_files import IMAGE_FORMATS, walk_images
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
    assert [file.name for file in found.others] == ["._e.jpg", ".x.heic", "readme.txt"] and not found.unlistable


def test_a_folder_that_cannot_be_listed_is_an_error(tmp_path, monkeypatch):
    touch(tmp_path, "a/1.png")
    scandir, refused = os.scandir, Mock(side_effect=PermissionError(13, "Permission denied", str(tmp_path / "a")))
    monkeypatch.setattr(os, "scandir", lambda path: (refused if str(path).endswith("a") else scandir)(path))
    with pytest.raises(UserError, match=r"^x.path=y: cannot list .*a \(Permission denied\); make it readable"):
        walk_images(tmp_path, "x.path=y")
    assert walk_images(tmp_path, "x.path=y", skip_unlistable=True).unlistable == [tmp_path / "a"]
    with pytest.raises(UserError, match="cannot list"):
        walk_images(tmp_path / "a", "x.path=y", skip_unlistable=True)
