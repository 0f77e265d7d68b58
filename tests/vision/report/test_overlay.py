import numpy as np

from s10_pipeline.vision.report.overlay import enlarge, overlay_cam, overlay_difference, tile_size


def test_overlay_is_red_where_the_map_is_high_and_blue_where_it_is_low() -> None:
    cam = np.zeros((32, 32), np.float32)
    cam[:, 16:] = 1
    overlay = overlay_cam(np.full((32, 32, 3), 128, np.uint8), cam, 160).astype(int)
    assert overlay.shape == (160, 160, 3)
    assert overlay[80, 10, 2] > overlay[80, 10, 0] + 20 and overlay[80, 150, 0] > overlay[80, 150, 2] + 20
    difference = overlay_difference(np.full((32, 32, 3), 128, np.uint8), cam, cam[:, ::-1], 160).astype(int)
    assert difference[80, 10, 2] > difference[80, 10, 0] + 50 and difference[80, 150, 0] > difference[80, 150, 2] + 50
    same = overlay_difference(np.full((32, 32, 3), 128, np.uint8), cam, cam, 160)
    assert np.ptp(same) <= 1  # where both agree, nothing is laid over the image
    assert [tile_size(size, 160) for size in (28, 32, 64, 160, 224)] == [168, 160, 128, 160, 160]


def test_small_images_keep_their_pixels_when_they_are_enlarged() -> None:
    image = np.random.default_rng(0).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    np.testing.assert_array_equal(enlarge(image, 12), image.repeat(3, axis=0).repeat(3, axis=1))
    assert enlarge(image.repeat(8, axis=0).repeat(8, axis=1), 12).shape == (12, 12, 3)
