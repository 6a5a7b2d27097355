"""Normals of a depth map are those of the released annotator/midas, in each of the four orders."""

from __future__ import annotations

import hashlib

import cv2
import numpy as np
import pytest
import torch
from skimage import data

from zeroctl_core.annotators import ANNOTATORS

normal, convert = ANNOTATORS["normal"], ANNOTATORS["normal_convert"]
ORDERS = ("bae", "midas_cn10", "opengl", "directx")

# (flat, faces left, right, up, down) of a slope of 1 per pixel with a = 2 pi, made by running ControlNet 1.0's
# annotator/midas; bae is the same with the channels turned round, the other two are 255 - x of bae where they face
# the other way
FACES = {
    "midas_cn10": [(255, 127, 127), (206, 127, 227), (206, 127, 27), (206, 227, 127), (206, 27, 127)],
    "bae": [(127, 127, 255), (227, 127, 206), (27, 127, 206), (127, 227, 206), (127, 27, 206)],
    "opengl": [(128, 127, 255), (28, 127, 206), (228, 127, 206), (128, 227, 206), (128, 27, 206)],
    "directx": [(128, 128, 255), (28, 128, 206), (228, 128, 206), (128, 28, 206), (128, 228, 206)],
}

# sha1 of ControlNet 1.0's normal map, strength 6.283, background 0.4, of `depth_of` in 0..255 (same on OpenCV 4.10
# and 5.0)
MIDAS = {"astronaut": "108964e28c1ecbc3", "coffee": "9b07a80dca727f80"}


def as_pixels(image: torch.Tensor) -> np.ndarray:
    return image[0].movedim(0, -1).mul(255).round().to(torch.uint8).numpy()


def as_depth(plane: np.ndarray) -> torch.Tensor:
    """[H, W] in 0..1 -> [1, 3, H, W]."""
    return torch.from_numpy(plane.astype(np.float32))[None, None].repeat(1, 3, 1, 1)


def depth_of(name: str) -> np.ndarray:
    """A photograph's blurred brightness, 0..255 in whole numbers: as good a depth as any."""
    return cv2.GaussianBlur(cv2.cvtColor(getattr(data, name)(), cv2.COLOR_RGB2GRAY), (0, 0), 3)


def slope(rows: int, columns: int) -> np.ndarray:
    """[9, 9] in 0..1 that gets nearer by one 8-bit level a pixel in a direction: downwards, to the right."""
    y, x = np.mgrid[:9, :9]
    return (100 + rows * y + columns * x) / 255


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("scale", [255.0, 40.0, 1000.0])
def test_faces_have_the_trained_colours(order, scale):
    """Nearer to the right faces left, nearer downwards faces up."""
    slopes = [slope(0, 0), slope(0, 1), slope(0, -1), slope(1, 0), slope(-1, 0)]
    for depth, color in zip(slopes, FACES[order], strict=True):
        depth = 0.5 + (depth - 100 / 255) * 255 / scale
        result = normal(as_depth(depth), background=0.0, order=order, scale=scale)
        assert tuple(as_pixels(result)[4, 4]) == color


def test_default_is_the_bae_order_and_one_level_a_pixel():
    image = as_depth(slope(1, 1))
    assert torch.equal(normal(image), normal(image, order="bae", strength=6.283, background=0.4, scale=255.0))


@pytest.mark.parametrize("name", MIDAS)
def test_equals_the_released_code_on_photographs(name):
    levels = depth_of(name)
    pixels = as_pixels(normal(as_depth(levels / 255)))
    depth = levels.astype(np.float64)
    vectors = np.stack(
        [cv2.Sobel(depth, cv2.CV_64F, 1, 0), cv2.Sobel(depth, cv2.CV_64F, 0, 1), np.full_like(depth, 6.283)], -1
    )
    vectors[(depth - depth.min()) / np.ptp(depth) < 0.4, :2] = 0
    expected = (127.5 + 127.5 * vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.uint8)
    share = (pixels == expected).all(-1).mean()
    assert hashlib.sha1(pixels.tobytes()).hexdigest()[:16] == MIDAS[name] or share >= 0.999, share
    assert 0.01 < (pixels != (127, 127, 255)).any(-1).mean() < 0.99
    cn10 = as_pixels(normal(as_depth(levels / 255), order="midas_cn10"))
    assert np.array_equal(cn10, pixels[:, :, ::-1])


@pytest.mark.parametrize("order", ORDERS)
def test_each_order_converts_exactly_to_every_other(order):
    image = as_depth(depth_of("coffee") / 255)
    for target in ORDERS:
        converted = convert(normal(image, order=order), source=order, target=target)
        assert torch.equal(converted, normal(image, order=target))


def test_the_default_scale_gives_a_ball_of_650_pixels_its_true_normals():
    radius = 325
    y, x = (axis - radius + 0.5 for axis in np.mgrid[: 2 * radius, : 2 * radius])
    height = np.sqrt(np.clip(radius**2 - x**2 - y**2, 0, None))
    true = np.stack([-x, -y, height], axis=-1) / radius
    inside = height > 0.3 * radius
    normals = as_pixels(normal(as_depth(height / radius), background=0.0)) / 127.5 - 1
    cosine = (normals * true).sum(-1) / np.linalg.norm(normals, axis=-1)
    assert np.degrees(np.arccos(cosine[inside].clip(-1, 1))).mean() < 0.5


def test_far_parts_face_the_viewer_by_the_pictures_own_range():
    depth = np.tile(np.linspace(0.3, 0.5, 101), (9, 1))
    pixels = as_pixels(normal(as_depth(depth), background=0.4, scale=2000.0))
    flat = (pixels == (127, 127, 255)).all(-1)
    assert flat[:, 1:39].all() and not flat[:, 41:-1].any()


def test_smaller_strength_and_larger_scale_are_the_same_steepness():
    image = as_depth(depth_of("astronaut") / 255)
    assert torch.equal(normal(image, strength=3.0), normal(image, strength=6.0, scale=510.0))
    assert normal(image, strength=1.0)[:, 2].mean() < normal(image)[:, 2].mean()


@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("background", [0.0, 0.4, 1.0])
def test_constant_depth_is_flat_and_no_nan(value, background):
    pixels = as_pixels(normal(torch.full((1, 3, 33, 17), value), background=background))
    assert (pixels == (127, 127, 255)).all()


def test_keeps_more_than_eight_bits_of_depth():
    """Rounded to 8 bits, so shallow a slope would be stairs."""
    depth = np.tile(np.linspace(0.5, 0.52, 200), (9, 1))
    assert np.unique(as_pixels(normal(as_depth(depth), background=0.0, scale=2000.0))[:, 1:-1, 0]).size == 1


def test_takes_odd_sizes():
    image = torch.rand(2, 3, 333, 517, generator=torch.Generator().manual_seed(0))
    assert normal(image).shape == image.shape


def test_an_inverted_depth_gives_the_normals_of_the_other_polarity() -> None:
    depth = as_depth(depth_of("astronaut") / 255)
    assert torch.equal(normal(1 - depth, invert=True), normal(1 - (1 - depth)))
    assert not torch.equal(normal(depth, invert=True), normal(depth))
    assert torch.equal(normal(depth, invert=False), normal(depth))
