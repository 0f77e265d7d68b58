import pickle
import subprocess
import sys
import tempfile

import numpy as np
import pytest

from s10_pipeline.vision.data import image_set
from s10_pipeline.vision.data.image_set import ImageSet, allocate_pixels


def random_pixels(num_images=50, size=32):
    return np.random.default_rng(0).integers(0, 256, (num_images, size, size, 3), np.uint8)


def make_set(pixels, **kwargs):
    labels = np.arange(len(pixels), dtype=np.int64) % 3
    return ImageSet(pixels, labels, ("a", "b", "c"), source={"name": "folder"}, **kwargs)


def mapped(tmp_path, pixels):
    """As the catalog gives it: a header, then pixels, so that the offset counts."""
    np.save(tmp_path / "pixels.npy", pixels)
    return np.load(tmp_path / "pixels.npy", mmap_mode="r")


def test_a_memory_map_is_pickled_as_its_file_name(tmp_path):
    pixels = random_pixels()
    images = make_set(mapped(tmp_path, pixels))
    data = pickle.dumps(images)
    copy = pickle.loads(data)
    assert len(data) < 5000 < pixels.nbytes and isinstance(copy.images_nhwc, np.memmap)
    assert not copy.images_nhwc.flags.writeable
    np.testing.assert_array_equal(copy.images_nhwc, pixels)
    np.testing.assert_array_equal(copy.labels, images.labels)
    assert (copy.class_names, copy.paths, copy.source) == (images.class_names, None, images.source)


@pytest.mark.parametrize("part", [slice(10, 20), slice(None, None, 2), slice(None)])
@pytest.mark.parametrize("order", [np.ascontiguousarray, np.asfortranarray])
def test_parts_of_a_memory_map_and_pixels_in_memory_are_pickled_with_their_own_pixels(tmp_path, part, order):
    pixels = order(random_pixels())
    for images in (mapped(tmp_path, pixels), pixels):
        copy = pickle.loads(pickle.dumps(make_set(images[part])))
        np.testing.assert_array_equal(copy.images_nhwc, pixels[part])


def test_many_pixels_are_allocated_in_a_nameless_file(tmp_path, monkeypatch):
    few = allocate_pixels(10, 32, 32)
    assert not isinstance(few, np.memmap) and (few.shape, few.dtype) == ((10, 32, 32, 3), np.uint8)
    monkeypatch.setattr(image_set, "MAX_PIXEL_BYTES_IN_MEMORY", 1000)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    pixels = allocate_pixels(10, 32, 32)
    pixels[:] = random_pixels(10)
    assert isinstance(pixels, np.memmap) and list(tmp_path.iterdir()) == []
    copy = pickle.loads(pickle.dumps(make_set(pixels)))
    np.testing.assert_array_equal(copy.images_nhwc, random_pixels(10))


SPACE = """
import resource, signal, sys, tempfile
from s10_pipeline.vision.data import image_set
image_set.MAX_PIXEL_BYTES_IN_MEMORY = 1000
limit = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
tempfile.tempdir = sys.argv[2]
try:
    pixels = image_set.allocate_pixels(int(sys.argv[3]), 32, 32)
    pixels[:] = 1
    print("written")
except image_set.UserError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("limit", "num_images", "folder", "said"),
    [
        (10**9, 1000, ".", "written"),
        (10**6, 1000, ".", "1,000 images of 32 x 32 need 0.0 GB there (File too large); set TMPDIR"),
        (10**6, 10**9, ".", "need 3072.0 GB there (File too large); set TMPDIR"),
        (10**9, 1000, "gone", "need 0.0 GB there (No such file or directory); set TMPDIR"),
    ],
)
def test_space_is_reserved_before_the_first_write(tmp_path, limit, num_images, folder, said):
    # in a process of its own, which a write to a map without space would kill
    command = [sys.executable, "-c", SPACE, str(limit), str(tmp_path / folder), str(num_images)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert said in done.stdout


@pytest.mark.parametrize("labels", [[0, 3], [-1, 0], []])
def test_impossible_labels_are_refused(labels):
    with pytest.raises(AssertionError):
        ImageSet(np.zeros((len(labels), 8, 8, 3), np.uint8), np.array(labels, np.int64), ("a", "b", "c"))
