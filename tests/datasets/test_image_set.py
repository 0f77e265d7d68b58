import base64
import dataclasses
import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
from kedro.io import DatasetError
from kedro.io.core import Version
from PIL import Image

from s10_pipeline.datasets import image_set
from s10_pipeline.datasets.image_set import ImageSetDataset
from s10_pipeline.identity.digests import hash_file
from s10_pipeline.vision.data.image_set import ImageSet, content_digest
from s10_pipeline.vision.data.sources.assembly import checksum_of
from s10_pipeline.vision.data.split import Split, indices_digest


@pytest.fixture
def images(shapes):
    rows = np.arange(len(shapes[1]))
    paths = tuple(f"test/ä {i}.png" for i in rows)
    return dataclasses.replace(shapes[1], paths=paths, groups=rows // 3, validation=rows % 4 == 0)


def same(one: ImageSet, other: ImageSet) -> bool:
    return all(np.array_equal(value, vars(other)[name]) for name, value in vars(one).items() if name != "digest")


def test_what_was_saved_comes_back_memory_mapped(images, tmp_path):
    dataset = ImageSetDataset(filepath=str(tmp_path / "images.json"))
    assert not dataset.exists()
    dataset.save(images)
    loaded = dataset.load()
    assert dataset.exists() and same(loaded, images)
    assert isinstance(loaded.images_nhwc, np.memmap) and not loaded.images_nhwc.flags.writeable
    assert loaded.digest == content_digest(images)


def test_equal_pixels_are_stored_once(images, tmp_path):
    def save(version: str, data: ImageSet) -> int:
        ImageSetDataset(filepath=str(tmp_path / "images.json"), version=Version(None, version)).save(data)
        return sum(f.stat().st_size for f in (tmp_path / "arrays").iterdir())

    first = save("2026-01-01T00.00.00.000Z", images)
    assert save("2026-01-02T00.00.00.000Z", images) == first
    changed = images.images_nhwc.copy()
    changed[0] ^= 255
    assert save("2026-01-03T00.00.00.000Z", dataclasses.replace(images, images_nhwc=changed, digest=None)) > first
    latest = ImageSetDataset(filepath=str(tmp_path / "images.json"), version=Version(None, None)).load()
    assert (latest.images_nhwc == changed).all()


def test_digests_are_those_of_earlier_data_roots(tmp_path):
    count = np.arange(3000)
    pixels = (np.arange(3000 * 18) % 251).astype(np.uint8).reshape(3000, 2, 3, 3)
    images = ImageSet(pixels, count % 2, ("a", "ä"), paths=tuple(f"{i}.png" for i in count))
    manifest = json.loads(ImageSetDataset(filepath=str(tmp_path / "x.json")).encode(images))
    known = {"digest": "ee519b70", "images": "e5de6678", "labels": "97c3ed10", "paths": "60959ca3"}
    assert {key: manifest[key][:8] for key in known} == known
    every_other = ImageSet(pixels[::2], count[::2] // 2 % 2, ("a", "b"))
    assert content_digest(every_other).startswith("3cd5c74b"), "pixels that do not lie side by side"
    assert indices_digest(Split("x", np.arange(7), [], (0, 0, 0), (1, 1, 1))).startswith("81845a01")
    for name in "ab":
        (tmp_path / name).write_bytes(name.encode() * 3_000_000)
    digests = {name: hash_file(str(tmp_path / name)) for name in "ba"}
    assert checksum_of(digests).startswith("sha256:65c8dfcd")


@pytest.fixture
def remote(images, tmp_path):
    """A set on another file system, loaded once; and its local copies, which nobody else can read."""
    dataset = ImageSetDataset(filepath=f"memory://{tmp_path}/images.json", version=Version(None, None))
    dataset.save(images)
    assert same(dataset.load(), images) and isinstance(dataset.load().images_nhwc, np.memmap)
    folder = Path(image_set._folder_of_copies().name)
    assert folder.stat().st_mode & 0o777 == 0o700
    return dataset, [folder / Path(name).name for name in dataset._fs.ls(str(dataset.shared_folder), detail=False)]


@pytest.mark.parametrize(
    "damage",
    [
        lambda copy, _: os.truncate(copy, 0),
        lambda copy, _: copy.write_bytes(copy.read_bytes()[:128] + bytes(copy.stat().st_size - 128)),
        lambda copy, _: copy.write_bytes(b"\x93NUMPY"),
        lambda copy, other: copy.write_bytes(other.read_bytes()),
        lambda copy, _: copy.unlink(),
    ],
)
def test_a_damaged_copy_is_fetched_again(images, remote, damage):
    dataset, files = remote
    assert len(files) == 5
    for file, other in zip(files, files[1:] + files[:1], strict=True):
        damage(file, other)
        assert same(dataset.load(), images)


def test_a_damaged_file_in_the_store_is_told(remote):
    dataset, copies = remote
    pixels = max(dataset._fs.find(str(dataset.shared_folder)), key=dataset._fs.size)
    dataset._fs.pipe(pixels, bytes(dataset._fs.size(pixels)))
    for file in copies:
        file.unlink()
    with pytest.raises(DatasetError, match="damaged: its content does not have the digest in its name"):
        dataset.load()


def test_preview_draws_images_and_the_rest_is_told_without_pixels(images, tmp_path):
    dataset = ImageSetDataset(filepath=str(tmp_path / "images.json"))
    dataset.save(images)
    assert dataset.describe()["num_images"] == 120
    with Image.open(io.BytesIO(base64.b64decode(dataset.preview()))) as picture:
        assert picture.size == (320, 192)
        assert np.array_equal(np.asarray(picture)[:32, :32], images.images_nhwc[np.argmin(images.labels)])
