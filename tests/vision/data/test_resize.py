"""What pixels become; formats, modes and damage of all kinds are in predict/test_awkward_files.py."""

import io
import struct
from unittest.mock import Mock

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image

from s10_pipeline.vision.data import resize
from s10_pipeline.vision.data.image_files import large_images_allowed
from s10_pipeline.vision.data.resize import UnreadableImage, decode_square_rgb, to_square_rgb


def encode(image, kind="PNG", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def noise(height, width, channels=3, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)


@pytest.mark.parametrize("axes", [(0, 1, 2), (1, 0, 2)])
def test_the_crop_is_the_centre(axes):
    pixels = np.broadcast_to(np.repeat(np.eye(3, dtype=np.uint8) * 255, 32, axis=0), (32, 96, 3)).transpose(axes)
    result = to_square_rgb(Image.fromarray(np.ascontiguousarray(pixels)), 32)
    assert result.shape == (32, 32, 3) and (result == (0, 255, 0)).all()


def test_the_shorter_side_is_scaled_to_size():
    """A ramp along the longer side, 128 x 64 to 32: every second pixel pair, the middle half of the ramp."""
    ramp = np.linspace(0, 254, 128).astype(np.uint8)
    pixels = np.broadcast_to(ramp[None, :, None], (64, 128, 3)).copy()
    result = to_square_rgb(Image.fromarray(pixels), 32)
    expected = ramp[32:96].reshape(32, 2).mean(axis=1)
    np.testing.assert_allclose(result[16, :, 0], expected, atol=1.5)


# the corner at the top left of the upright picture, for each way in which a camera stores it
CORNER_AS_STORED = {1: (0, 0), 2: (0, -1), 3: (-1, -1), 4: (-1, 0), 5: (0, 0), 6: (-1, 0), 7: (-1, -1), 8: (0, -1)}


@pytest.mark.parametrize(("orientation", "corner"), CORNER_AS_STORED.items())
def test_exif_orientation_is_applied(orientation, corner):
    pixels = np.zeros((16, 16, 3), np.uint8)
    pixels[corner] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    result = decode_square_rgb(encode(Image.fromarray(pixels), exif=exif), 16)
    assert result[0, 0].tolist() == [255, 255, 255] and result.sum() == 3 * 255


def test_half_transparency_mixes_with_white_and_leaves_the_image_as_it_was():
    image = Image.new("RGBA", (8, 12), (0, 0, 0, 128))
    assert to_square_rgb(image, 4)[0, 0].tolist() == [127, 127, 127]
    assert (image.mode, image.size, image.getpixel((0, 0))) == ("RGBA", (8, 12), (0, 0, 0, 128))


def test_broken_exif_does_not_cost_the_image():
    pixels = noise(16, 16)
    data = encode(Image.fromarray(pixels), "PNG", exif=b"Exif\0\0garbage, no TIFF header")
    np.testing.assert_array_equal(decode_square_rgb(data, 16), pixels)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PGM"])
@pytest.mark.parametrize("top", [65535, 200])
def test_sixteen_bit_grey_is_scaled_and_not_clipped(kind, top):
    """Also a picture so dark that its values would fit eight bits."""
    grey = np.linspace(0, top, 256).astype(np.uint16).reshape(16, 16)
    pgm = b"P5 16 16 65535\n" + grey.astype(">u2").tobytes()
    result = decode_square_rgb(pgm if kind == "PGM" else encode(Image.fromarray(grey), kind), 16)
    expected = np.round(grey / 65535 * 255).astype(np.uint8)
    np.testing.assert_array_equal(result, np.repeat(expected[:, :, None], 3, axis=2))


@pytest.mark.parametrize(
    ("dtype", "top", "scale"),
    [
        (np.int32, 255, 1), (np.int32, 65535, 255 / 65535), (np.float32, 1, 255), (np.float32, 250, 1),
        (np.int32, 10**6, 255e-6), (np.float32, 10**6, 255e-6),
    ],
)  # fmt: skip
def test_grey_without_a_range_of_its_own(dtype, top, scale):
    grey = np.linspace(0, top, 256).astype(dtype).reshape(16, 16)
    image = grey.copy()
    if dtype == np.float32:
        grey[0, :3], image[0, :3] = 0, (np.inf, -np.inf, np.nan)
    result = decode_square_rgb(encode(Image.fromarray(image), "TIFF"), 16)
    np.testing.assert_allclose(result[:, :, 1], grey * scale, atol=0.5001)


def test_a_lack_of_memory_is_no_damage(monkeypatch):
    monkeypatch.setattr(resize, "to_square_rgb", Mock(side_effect=MemoryError))
    with pytest.raises(MemoryError):
        decode_square_rgb(encode(Image.fromarray(noise(8, 8))), 8)


def test_an_orientation_counts_beside_a_damaged_tag_and_without_a_warning():
    orientation, damaged = (0x0112, 3, 1, 3), (0x8769, 4, 1, 9999)  # the latter points behind the end
    tags = b"".join(struct.pack("<HHII", *tag) for tag in (orientation, damaged))
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + tags + bytes(4)
    data = encode(Image.fromarray(np.uint8([[[255] * 3, [0] * 3]]).repeat(16, 0).repeat(8, 1)), "JPEG", exif=exif)
    with large_images_allowed():
        result = decode_square_rgb(data, 16)
    assert result[:, :6].max() < 30 < 225 < result[:, 10:].min()


def wrap_in_iptc(data):
    """An IPTC record that holds an image file, as Pillow's plug-in expects it."""
    fields = [((3, 60), b"\1\0"), ((3, 20), b"\0\x08"), ((3, 30), b"\0\x08"), ((3, 120), b"\0\x05"), ((8, 10), data)]
    return b"".join(bytes([0x1C, *tag, *len(value).to_bytes(2, "big")]) + value for tag, value in fields)


@pytest.mark.parametrize("wrap", [bytes, wrap_in_iptc])
def test_postscript_runs_no_program_whatever_it_is_wrapped_in(monkeypatch, wrap):
    started, picture = [], Image.core.new("RGB", (8, 8))
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *a, **k: started.append(a) or picture)
    data = wrap(encode(Image.fromarray(noise(8, 8)), "EPS"))
    Image.open(io.BytesIO(data)).load()
    assert started  # Pillow by itself would
    started.clear()
    with pytest.raises(UnreadableImage, match="^not an image"):
        decode_square_rgb(data, 8)
    assert not started
