from pathlib import Path

import pytest
from PIL import Image

from s10_pipeline.vision.data.resize import UnreadableImage
from s10_pipeline.vision.errors import UserError
from s10_pipeline.vision.predict.images import find_images, read_batches


def picture(path: Path, color: str = "red", size: tuple[int, int] = (20, 10)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, color).save(path)
    return path


def test_a_file_is_taken_whatever_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "image").write_bytes(b"")
    assert find_images(tmp_path / "image") == [tmp_path / "image"]
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert find_images("~/image") == [tmp_path / "image"]


def test_mistakes_are_said_in_one_line(tmp_path: Path) -> None:
    cases = [(None, "names no images"), (tmp_path / "gone", "no such file"), (tmp_path, "no image files")]
    for path, rule in [*cases, (tmp_path / ("a" * 300), "too long"), ("~nobody-here/a", "home directory")]:
        with pytest.raises(UserError) as error:
            find_images(path)
        assert str(error.value).startswith(f"predict.path={'null' if path is None else path}: ")
        assert rule in str(error.value) and "; give" in str(error.value) and "\n" not in str(error.value)


def test_reads_one_batch_at_a_time(tmp_path: Path) -> None:
    files = [picture(tmp_path / f"{i}.png") for i in range(4)]
    batches = read_batches(files, size=8, batch_size=2)
    assert {position: image.shape for position, image in next(batches).items()} == {0: (8, 8, 3), 1: (8, 8, 3)}
    files[3].unlink()  # a reader that had gone ahead would not notice
    assert [isinstance(result, UnreadableImage) for result in next(batches).values()] == [False, True]
    assert not list(batches)
