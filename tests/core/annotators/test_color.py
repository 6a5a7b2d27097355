"""The colour grid is that of the T2I colour adapter, and works for small and odd pictures too."""

from __future__ import annotations

import hashlib

import cv2
import numpy as np
import pytest
import torch
from skimage import data

from zeroctl_core.annotators import ANNOTATORS

color = ANNOTATORS["color"]

PHOTOS = {
    "astronaut": data.astronaut(),
    "coffee": data.coffee(),
    "cat": data.chelsea(),
    "odd": data.coffee()[:333, :517],
}

# sha1 of `apply_color` of comfyui_controlnet_aux, at the picture's own short side (same on OpenCV 4.10 and 5.0)
AUX = {
    "astronaut": "0a2999958df8968c",
    "coffee": "a9b485b521f23c43",
    "cat": "79bacdeb1b6772f7",
    "odd": "3573d756f54e0e01",
}


def as_image(picture: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(picture.copy()).movedim(-1, 0)[None].float() / 255


def as_pixels(image: torch.Tensor) -> np.ndarray:
    return np.ascontiguousarray(image[0].movedim(0, -1).mul(255).round().to(torch.uint8).numpy())


@pytest.mark.parametrize("name", PHOTOS)
def test_equals_the_peer_on_photographs(name):
    pixels = as_pixels(color(as_image(PHOTOS[name])))
    height, width = pixels.shape[:2]
    small = cv2.resize(PHOTOS[name], (width // 64, height // 64), interpolation=cv2.INTER_CUBIC)
    expected = cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST)
    share = (np.abs(pixels.astype(int) - expected) <= 1).all(-1).mean()
    assert hashlib.sha1(pixels.tobytes()).hexdigest()[:16] == AUX[name] or share >= 0.999, share


@pytest.mark.parametrize("method", ["cubic", "area"])
@pytest.mark.parametrize("grid", [1, 8, 64, 100, 512])
def test_squares_are_flat(method, grid):
    """A picture of whole squares is one colour in each."""
    pixels = as_pixels(color(as_image(data.astronaut()[:500, :400]), grid=grid, method=method))
    rows, columns = max(1, 500 // grid), max(1, 400 // grid)
    assert pixels.shape == (500, 400, 3)
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) <= rows * columns
    if 500 % grid == 0 and 400 % grid == 0:
        squares = pixels.reshape(rows, grid, columns, grid, 3)
        assert (squares == squares[:, :1, :, :1]).all()


def test_a_grid_of_one_pixel_changes_nothing():
    image = as_image(data.chelsea())
    assert torch.equal(color(image, grid=1), image)
    assert torch.equal(color(image, grid=1, method="area"), image)


def test_area_is_the_mean_of_the_square():
    picture = data.astronaut()
    pixels = as_pixels(color(as_image(picture), method="area"))
    means = picture.reshape(8, 64, 8, 64, 3).mean(axis=(1, 3))
    assert np.abs(pixels[::64, ::64] - means).max() <= 0.5 + 1e-4


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (3, 517), (63, 63), (40, 200)])
@pytest.mark.parametrize("method", ["cubic", "area"])
def test_sides_below_the_grid_are_one_square(size, method):
    image = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0))
    result = color(image, method=method)
    assert result.shape == image.shape
    assert torch.equal(result, result[:, :, :1].expand_as(result))
    assert len(result[0, 0, 0].unique()) <= max(1, size[1] // 64)


def test_a_flat_picture_stays_as_it_is():
    image = torch.full((1, 3, 333, 517), 77 / 255)
    assert torch.equal(color(image), image)
